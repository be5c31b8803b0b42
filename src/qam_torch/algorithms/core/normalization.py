"""Observation normalization: (s - mean) / std, with the statistics of the training data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qam_torch.types import Batch, Draw, Noise, Policy, differentiates

__all__ = ["Normalization"]


class Normalization(nn.Module):
    """(s - mean) / std per dimension; the identity until statistics are set.

    The statistics are buffers of shape (P, 1, O), equal for all members. With this shape one member can be sliced from
    the state as from any other tensor. Without statistics the state dict has no entries.
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
            like: a parameter; the statistics are converted to its dtype and device.
            members: number of members, P.
        """
        self.mean, self.std = (one.to(like.device, like.dtype).repeat(members, 1, 1) for one in (mean, std))

    def allocate_for(self, state: Mapping[str, Tensor]) -> None:
        """Allocate empty statistics if a state dict has some, so that `load_state_dict` finds the buffers."""
        if "normalization.mean" in state:
            self.mean, self.std = (torch.empty_like(state[f"normalization.{name}"]) for name in ("mean", "std"))

    def forward(self, observations: Tensor) -> Tensor:
        """(P, B, O) -> (P, B, O)."""
        if self.mean is None or self.std is None:
            return observations
        return (observations - self.mean) / self.std

    def normalize_batch(self, batch: Batch) -> Batch:
        """The batch with normalized observations and next observations."""
        observations, next_observations = self(batch.observations), self(batch.next_observations)
        return batch._replace(observations=observations, next_observations=next_observations)

    def wrap_policy(self, policy: Policy) -> Policy:
        """Wrap a policy of normalized observations, so that it takes unnormalized ones."""
        return _NormalizedPolicy(policy, self)


class _NormalizedPolicy:
    """Normalizes observations before it passes them to a policy."""

    def __init__(self, policy: Policy, normalization: Normalization) -> None:
        self.inner, self.normalization = policy, normalization
        self.differentiates = differentiates(policy)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The policy's draws."""
        return self.inner.draws(batch_size)

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """(P, B, O) -> (P, B, D)."""
        return self.inner(self.normalization(observations), noise)
