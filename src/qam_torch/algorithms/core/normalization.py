"""Observation normalization, (s - mean) / std of the training data, before the networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qam_torch.types import Batch, Draw, Noise, Policy, differentiates

__all__ = ["Normalization"]


class Normalization(nn.Module):
    """(s - mean) / std per dimension; the identity until statistics are given.

    Statistics are buffers of shape (P, 1, O), equal for all members, so that one member is sliced from them as from
    any other tensor. Without statistics the state has no entries.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("std", None)

    def set(self, mean: Tensor, std: Tensor, like: Tensor, members: int) -> None:
        """Set the statistics.

        Args:
            mean: (O,).
            std: (O,), all > 0.
            like: a parameter, whose dtype and device the statistics get.
            members: P.
        """
        self.mean, self.std = (one.to(like.device, like.dtype).repeat(members, 1, 1) for one in (mean, std))

    def allocate_for(self, state: Mapping[str, Tensor]) -> None:
        """Allocate the statistics of an algorithm's state, if it has any, so that the state can be loaded."""
        if "normalization.mean" in state:
            self.mean, self.std = (torch.empty_like(state[f"normalization.{name}"]) for name in ("mean", "std"))

    def forward(self, observations: Tensor) -> Tensor:
        """(P, B, O) -> (P, B, O)."""
        if self.mean is None or self.std is None:
            return observations
        return (observations - self.mean) / self.std

    def of_batch(self, batch: Batch) -> Batch:
        """The batch with both of its observations normalized."""
        observations, next_observations = self(batch.observations), self(batch.next_observations)
        return batch._replace(observations=observations, next_observations=next_observations)

    def policy(self, policy: Policy) -> Policy:
        """The policy with unnormalized observations as input."""
        return _NormalizedPolicy(policy, self)


class _NormalizedPolicy:
    """A policy whose observations are normalized first."""

    def __init__(self, policy: Policy, normalization: Normalization) -> None:
        self.inner, self.normalization = policy, normalization
        self.differentiates = differentiates(policy)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The policy's draws."""
        return self.inner.draws(batch_size)

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """(P, B, O) -> (P, B, D)."""
        return self.inner(self.normalization(observations), noise)
