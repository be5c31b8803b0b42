"""Recorded windows of the reference implementations' samplers, compared with the library's."""

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
    """Every window of the reference's sampler of action sequences."""
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
    """Every window that RQL's sampler can draw, and the rows that the sampler returns."""
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
"""Agent of a recorded case that holds windows instead of updates -> its check."""


def check_agent_batch(report: Report, u: int, horizon_length: int, discount: float) -> None:
    """Compute an update's batch from the h + 1 rows (h + 1, B, ...) that the reference's agent received.

    Each row of the batch becomes an episode of its own, up to its first terminal row, and its first window the batch's.

    Args:
        report: report of the case.
        u: the update.
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
    # Not read, because these windows end in the state of a row.
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
