"""Compare recorded windows of the reference implementations' samplers with the library's windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.parity.report import Report
from qam_torch.types import QamError

__all__ = ["SAMPLERS", "check_agent_batch"]


def _transitions(arrays: dict[str, Any]) -> Transitions:
    return Transitions.from_arrays(**arrays, dtype=torch.float64, clip_actions=False)


def _verify_sampler(case: dict[str, Any], report: Report) -> None:
    """Compare every window of the reference's sampler of action sequences."""
    windows = ChunkWindows(
        _transitions(report.under("data/")),
        case["horizon_length"],
        case["config"]["discount"],
    )
    starts = torch.as_tensor(report.take("starts"))
    if not torch.equal(starts, torch.arange(windows.num_starts)):
        raise QamError("the case's starts are not every possible window start: expected 0, 1, ..., N - h")
    _check_windows(report, windows, starts, valid=report.arrays["window/valid"][:, -1])


def _verify_episode_sampler(case: dict[str, Any], report: Report) -> None:
    """Compare every window that RQL's sampler can draw, and the rows that the sampler returns."""
    data = _transitions(report.under("data/"))
    steps, discount = case["horizon_length"], case["config"]["discount"]
    windows = EpisodeWindows(data, steps, discount)
    starts = torch.as_tensor(report.take("starts"))
    if not torch.equal(starts, windows.drawn_starts):
        raise QamError("the case's starts are not every possible window start: expected all but the episodes' ends")
    _check_windows(report, windows, starts, valid=report.arrays["window/valid"])
    rows = windows.rows(starts).T
    for name in ("actions", "rewards", "masks", "terminals"):
        report.check("rows", f"agent_window/{name}", getattr(data, name)[rows].double())
    report.check("rows", "agent_window/observations", data.states[data.state_rows[rows]])


def _check_windows(report: Report, windows: ChunkWindows, starts: Tensor, valid: np.ndarray) -> None:
    batch = windows(starts)
    for name, steps in windows.steps(starts).items():
        report.check("every step", f"window/{name}", steps)
    report.compare("windows", batch.valid.numpy(), valid)
    for name in ("rewards", "masks", "next_observations"):
        report.compare("windows", getattr(batch, name).numpy(), report.arrays[f"window/{name}"][:, -1])
    report.check("windows", "window/observations", batch.observations)
    report.check("windows", "window/actions", batch.actions)


SAMPLERS: dict[str, Callable[[dict[str, Any], Report], None]] = {
    "sampler": _verify_sampler,
    "rql_sampler": _verify_episode_sampler,
}
"""Agent name of a recorded case that contains windows instead of updates -> function that checks the case."""


def check_agent_batch(report: Report, u: int, horizon_length: int, discount: float) -> None:
    """Compute an update's batch from the rows that the reference's agent received, and compare it with the record.

    The agent received h + 1 consecutive rows per window, as arrays (h + 1, B, ...). A window's rows up to its first
    terminal row are treated as one episode. The first window of this episode is compared with the batch's row.

    Args:
        report: report of the case.
        u: index of the update.
        horizon_length: h.
        discount: discount of one step.
    """
    given = report.under(f"agent_batch{u}/")
    ended = np.cumsum(given["terminals"], axis=0) - given["terminals"] > 0
    kept = ~ended.T  # (B, h + 1), the rows inside the episode
    arrays = {name: np.swapaxes(field, 0, 1)[kept] for name, field in given.items()}
    lengths = kept.sum(1)
    ends = np.cumsum(lengths) - 1
    arrays["terminals"] = np.isin(np.arange(lengths.sum()), ends)
    # These values are never read, because the windows end in the observation of a row.
    arrays["next_observations"] = np.roll(arrays["observations"], -1, axis=0)
    windows = EpisodeWindows(_transitions(arrays), horizon_length, discount)
    starts = torch.as_tensor(ends - lengths + 1)
    for name, steps in windows.steps(starts).items():
        report.compare("windows", steps.numpy(), report.arrays[f"batch{u}/{name}"])
    batch = windows(starts)
    for name in ("rewards", "masks", "next_observations"):
        report.compare("windows", getattr(batch, name).numpy(), report.arrays[f"batch{u}/{name}"][:, -1])
    report.compare("windows", batch.valid.numpy(), report.arrays[f"batch{u}/valid"])
    report.compare("windows", batch.actions.numpy(), report.arrays[f"batch{u}/actions"])
