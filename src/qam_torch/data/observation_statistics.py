"""Mean and standard deviation of a dataset's observations, for `data.normalize=standard`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qam_torch.data.transitions import Transitions

__all__ = ["ObservationStatistics", "observation_statistics"]

ROWS = 65536
"""Number of observations that are converted to float64 at a time."""

CONSTANT = 1e-6
"""A dimension counts as constant if its standard deviation is at most this times |mean|: an effect of rounding."""


class ObservationStatistics(NamedTuple):
    """Statistics of observations, per dimension.

    Attributes:
        mean: (O,) float64.
        std: (O,) float64, > 0; 1 for dimensions that are constant.
        constant: (O,) bool, whether a dimension is constant.
    """

    mean: Tensor
    std: Tensor
    constant: Tensor

    @property
    def remark(self) -> str:
        """The message that a run prints about the normalization."""
        constant = int(self.constant.sum())
        shifted = f"; {constant} of {len(self.mean)} dimensions are constant and only shifted" if constant else ""
        return f"observations are normalized by their mean and standard deviation{shifted}"


def observation_statistics(transitions: Transitions) -> ObservationStatistics:
    """Statistics of the observations (N, O) of all transitions. Next observations are not included.

    A dimension counts as constant if rounding to float32 can explain its variation. It gets the standard deviation 1,
    so that normalization only shifts it.
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
