"""Discretizations of adjoint matching with T solver steps. Each defines a path, its adjoint and the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from qam_torch.flows.adjoint import lean_adjoint
from qam_torch.flows.ancestral import ancestral_adjoints, ancestral_matching_loss, sample_ancestral
from qam_torch.flows.matching import adjoint_matching_loss, node_sigmas
from qam_torch.flows.memoryless import MemorylessPath, sample_memoryless
from qam_torch.types import Velocity, is_number, require

__all__ = ["PAPER", "AncestralDiscretization", "Discretization", "ShiftedDiscretization"]


class Discretization(ABC):
    """Path, adjoint and loss at the nodes 0, 1/T, ..., 1 - 1/T."""

    @abstractmethod
    def sample(
        self, velocity: Velocity, base_velocity: Velocity, x_0: Tensor, noise: Tensor, flow_steps: int
    ) -> MemorylessPath:
        """Sample a path of the fine-tuned flow; arguments as in `sample_memoryless`."""

    @abstractmethod
    def adjoints(self, base_velocity: Velocity, xs: Tensor, adjoint_1: Tensor) -> Tensor:
        """The lean adjoint at each node, for the loss; arguments and shape as in `lean_adjoint`."""

    @abstractmethod
    def loss(self, correction: Tensor, adjoints: Tensor) -> Tensor:
        """Regression loss (...) of f_theta - f_beta at the nodes (T, ..., B, D), given the adjoints (T, ..., B, D)."""


class ShiftedDiscretization(Discretization):
    """Euler-Maruyama steps, and a noise schedule that is shifted by one step.

    Source: Li & Levine 2026.
    """

    def sample(
        self, velocity: Velocity, base_velocity: Velocity, x_0: Tensor, noise: Tensor, flow_steps: int
    ) -> MemorylessPath:
        """See `sample_memoryless`."""
        return sample_memoryless(velocity, base_velocity, x_0, noise, flow_steps)

    def adjoints(self, base_velocity: Velocity, xs: Tensor, adjoint_1: Tensor) -> Tensor:
        """See `lean_adjoint`."""
        return lean_adjoint(base_velocity, xs, adjoint_1)

    def loss(self, correction: Tensor, adjoints: Tensor) -> Tensor:
        """See `adjoint_matching_loss`."""
        return adjoint_matching_loss(correction, adjoints, node_sigmas(len(correction), correction))


class AncestralDiscretization(Discretization):
    """Exact conditional steps of the memoryless process, without a shift in time.

    Args:
        spread: assumed standard deviation of the data, > 0; see `ancestral_step`.

    Raises:
        QamError: spread is not a finite number > 0.
    """

    def __init__(self, spread: float = 1.0) -> None:
        require("algo.discretization.spread", is_number(spread) and spread > 0, spread, "a finite number > 0")
        self.spread = spread

    def sample(
        self, velocity: Velocity, base_velocity: Velocity, x_0: Tensor, noise: Tensor, flow_steps: int
    ) -> MemorylessPath:
        """See `sample_ancestral`."""
        return sample_ancestral(velocity, base_velocity, x_0, noise, flow_steps, self.spread)

    def adjoints(self, base_velocity: Velocity, xs: Tensor, adjoint_1: Tensor) -> Tensor:
        """See `ancestral_adjoints`."""
        return ancestral_adjoints(base_velocity, xs, adjoint_1)

    def loss(self, correction: Tensor, adjoints: Tensor) -> Tensor:
        """See `ancestral_matching_loss`."""
        return ancestral_matching_loss(correction, adjoints, self.spread)


PAPER: Discretization = ShiftedDiscretization()
"""The discretization of Li & Levine 2026."""
