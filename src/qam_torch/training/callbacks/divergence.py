"""Handle diverged members: stop the run, or report frozen members and mask their metrics."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.schedule import Schedule

__all__ = ["DivergenceCallback", "require_finite_parameters"]


class DivergenceCallback(L.Callback):
    """Checks for diverged members before each evaluation, log and checkpoint.

    With on_divergence=freeze, each frozen member is reported once, and its training metrics are no longer written.

    Args:
        schedule: the run's schedule.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.diverged_at: dict[int, int] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """If an event is due, raise DivergedError for a diverged member, or freeze it."""
        assert isinstance(pl_module, Algorithm)
        due = self.schedule.due_at(current_step(trainer))
        if due.any:
            pl_module.require_finite()
        if due.evaluation or due.checkpoint:
            require_finite_parameters(pl_module)

    def report(self, algorithm: Algorithm) -> None:
        """Print each member that has diverged since the last call. This copies from the device."""
        for p, update in enumerate(algorithm.divergence.diverged_at()):
            if update is not None and p not in self.diverged_at:
                self.diverged_at[p] = update
                tqdm.write(f"{algorithm.name_of(p)} diverged at update {update:,} and is frozen")

    def masked(self, values: Tensor) -> np.ndarray:
        """Copy a metric (P,) to the host, with NaN for members that have diverged."""
        numbers = values.detach().double().cpu().numpy().copy()
        numbers[list(self.diverged_at)] = np.nan
        return numbers

    def columns(self, members: int) -> dict[str, np.ndarray]:
        """The column `diverged` of metrics.csv: the update at which a member diverged, or NaN; empty if none has."""
        if not self.diverged_at:
            return {}
        return {"diverged": np.array([self.diverged_at.get(p, np.nan) for p in range(members)])}


def require_finite_parameters(algorithm: Algorithm) -> None:
    """If parameters are not finite, e.g. after a much too large step, freeze their members or raise DivergedError."""
    parameters = dict(algorithm.named_parameters())
    finite = torch.stack([value.isfinite().view(algorithm.members, -1).all(1) for value in parameters.values()])
    broken = finite.logical_not()
    if broken.any():
        algorithm.handle_divergence(broken.any(0), f"parameter {list(parameters)[int(broken.any(1).nonzero()[0])]}")
