"""Connect an algorithm to Lightning's loop: updates per trainer step, update count, divergence and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from torch import Tensor, nn

from qam_torch.algorithms.core.divergence import Divergence
from qam_torch.algorithms.core.lightning_internals import advance_global_step
from qam_torch.algorithms.core.members import MemberValues
from qam_torch.algorithms.core.noise import NamedNoise
from qam_torch.types import Batch, Draw, Noise, QamError, Work

__all__ = ["DivergedError", "TrainingModule"]


class DivergedError(QamError):
    """A gradient, parameter or action became infinite or NaN.

    The message names the member and, during training, the update.
    """


class TrainingModule(MemberValues, L.LightningModule):
    """A LightningModule with manual optimization. A subclass defines the update.

    Args:
        seeds: one seed per member.
    """

    networks: nn.ModuleDict

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seeds = tuple(seeds)
        self.shared_values, self.member_values = {}, {}
        self.noise: NamedNoise | None = None
        self._saved_noise: dict[str, Any] | None = None
        self.metrics: dict[str, Tensor] = {}
        self.divergence = Divergence(len(seeds))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the shape and distribution of the noise that an update of B rows consumes, by name."""
        raise NotImplementedError

    def update(self, batch: Batch, noise: Noise, diagnose: bool = False) -> dict[str, Tensor]:
        """Run one update of all members, and return its losses or metrics: name -> (P,)."""
        raise NotImplementedError

    def prepare_noise(self, batch_size: int) -> None:
        """Create the noise source for batches of B rows, on the device and in the dtype of the networks.

        An existing noise source is kept.
        """
        if self.noise is None:
            parameter = next(self.networks.parameters())
            self.noise = NamedNoise(self.draws(batch_size), self.seeds, "update", parameter.device, parameter.dtype)
            self.noise_rows = batch_size

    def training_step(self, work: Work, batch_idx: int) -> None:
        """Run all updates of a trainer step. The last update computes all metrics."""
        made = 0
        for batch in work.batches:
            updates, _, batch_size = batch.rewards.shape
            self.prepare_noise(batch_size)
            assert self.noise is not None
            noise = self.noise.sample(updates)
            # Unbinding once costs less than indexing in every update.
            draws = zip(*(draw.unbind() for draw in noise.values()), strict=True)
            for given, drawn in zip(batch.unbind(), draws, strict=True):
                made += 1
                named = dict(zip(noise, drawn, strict=True))
                self.metrics = self.update(given, named, diagnose=made == work.updates)
            advance_global_step(self.trainer, updates)

    def require_finite(self) -> None:
        """Raise DivergedError if a member has diverged. If this run freezes diverged members, raise only if all have.

        This method synchronizes with the device. Call it before a checkpoint, evaluation or log, not in every update.
        """
        at = self.divergence.diverged_at()
        lost = [f"{self.name_of(p)} at update {update:,}" for p, update in enumerate(at) if update is not None]
        if lost and not self.divergence.freezes:
            raise DivergedError(
                f"training diverged: infinite or NaN gradient of {'; '.join(lost)}; {self.remedy}{self.continue_hint}"
            )
        if len(lost) == self.members:
            raise DivergedError(f"training diverged, no member is left: {'; '.join(lost)}; {self.remedy}")

    def handle_divergence(self, lost: Tensor, what: str) -> None:
        """Freeze members that have diverged, or raise DivergedError if this run does not freeze members.

        Args:
            lost: (P,) bool, true for members that have diverged.
            what: name of the non-finite value.
        """
        if self.divergence.freezes:
            self.divergence.mark(lost)
            return
        self.require_finite()  # a non-finite gradient, if any, is reported first
        place = "" if self._trainer is None else f" at update {self._trainer.global_step:,}"
        names = " and ".join(self.name_of(p) for p in lost.nonzero().flatten().tolist())
        raise DivergedError(
            f"training diverged{place}: {what} of {names} is not finite; {self.remedy}{self.continue_hint}"
        )

    @property
    def remedy(self) -> str:
        """The part of an error message that suggests what to change when training diverges."""
        numbers = ["algo.lr", *(["algo.inv_temp"] if "inv_temp" in self.shared_values else [])]
        return f"lower {' or '.join(numbers)}, or check the data for outliers"

    @property
    def continue_hint(self) -> str:
        """The part of an error message that explains how to continue without diverged members. Empty if P = 1."""
        return ", or continue without it: resume=auto on_divergence=freeze" if self.members > 1 else ""

    def freeze_diverged(self) -> None:
        """Freeze members that diverge, and continue with the other members. By default, training stops instead."""
        self.divergence.freezes = True

    def require_loadable(self, checkpoint: Mapping[str, Any]) -> None:
        """Raise QamError if a checkpoint contains diverged members and this run does not freeze them."""
        alive = checkpoint["divergence"]["alive"].tolist()
        if not all(alive) and not self.divergence.freezes:
            names = "; ".join(self.name_of(p) for p, going in enumerate(alive) if not going)
            raise QamError(f"the checkpoint holds members that have diverged ({names}): give on_divergence=freeze")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the noise generators and the diverged members to the checkpoint.

        Raises:
            DivergedError: a member has diverged, see `require_finite`.
        """
        self.require_finite()
        checkpoint["divergence"] = self.divergence.saved()
        if self._saved_noise is not None:  # saved again before the first update after loading
            checkpoint["noise"] = self._saved_noise
        elif self.noise is not None:
            checkpoint["noise"] = {**self.noise.state_dict(), "rows": self.noise_rows}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the diverged members, and keep the states of the noise generators until the device is known.

        Raises:
            QamError: the checkpoint contains diverged members, see `require_loadable`.
        """
        self.require_loadable(checkpoint)
        self.divergence.restore(checkpoint["divergence"])
        self._saved_noise = checkpoint.get("noise")

    def on_train_end(self) -> None:
        """Check the last updates for divergence."""
        self.require_finite()

    def on_train_start(self) -> None:
        """Restore the noise generators of a continued run."""
        saved = self._saved_noise
        if saved is not None:
            self.prepare_noise(saved["rows"])
            assert self.noise is not None
            self.noise.load_state_dict(saved)
            self._saved_noise = None
