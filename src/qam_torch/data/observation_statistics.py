"""Mean and standard deviation of a dataset's observations, for `data.normalize=standard`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qam_torch.data.transitions import Transitions

__all__ = ["ObservationStatistics", "observation_statistics"]

ROWS = 65536
"""Observations that are converted to float64 at a time."""

CONSTANT = 1e-6
"""Standard deviation relative to |mean| up to which a dimension counts as constant: what rounding to float32 leaves."""


class ObservationStatistics(NamedTuple):
    """Statistics of N observations, by dimension.

    Attributes:
        mean: (O,) float64.
        std: (O,) float64, > 0; 1 for dimensions that are constant.
        constant: (O,) bool.
    """

    mean: Tensor
    std: Tensor
    constant: Tensor

    @property
    def remark(self) -> str:
        """What a run prints of them."""
        constant = int(self.constant.sum())
        shifted = f"; {constant} of {len(self.mean)} dimensions are constant and only shifted" if constant else ""
        return f"observations are normalized by their mean and standard deviation{shifted}"


def observation_statistics(transitions: Transitions) -> ObservationStatistics:
    """Statistics of the observations (N, O) of all transitions, without their next observations.

    A dimension counts as constant, and gets the standard deviation 1, if it varies by no more than rounding to float32
    would explain. Normalization then only shifts it.
    """
    pieces = transitions.state_rows.split(ROWS)
    count = transitions.num_transitions

    def mean_of(center: Tensor | float, power: int) -> Tensor:
        sums = [((transitions.states[rows].double() - center) ** power).sum(0) for rows in pieces]
        return torch.stack(sums).sum(0) / count

    mean = mean_of(0.0, 1)
    std = mean_of(mean, 2).sqrt()
    constant = std <= CONSTANT * mean.abs()
    return ObservationStatistics(mean, torch.where(constant, 1.0, std), constant)
