"""Action values from K independent critics per member, and state values from one network per member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP

__all__ = ["CriticEnsemble", "TimeConditionedCritics", "ValueNetwork"]


class CriticEnsemble(nn.Module):
    """K MLPs on [s, a] with LayerNorm, evaluated together.

    Args:
        members: P.
        num_qs: K.
        observation_dim: O.
        action_dim: D, width of the flattened chunk.
        hidden_dims: widths of the hidden layers.
        layer_norm: LayerNorm after each hidden activation.

    Source: Li & Levine 2026, K = 10 critics of the reference implementation.
    """

    extra_inputs = 0

    def __init__(
        self,
        members: int,
        num_qs: int,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        layer_norm: bool = True,
    ) -> None:
        super().__init__()
        self.num_qs = num_qs
        inputs = observation_dim + action_dim + self.extra_inputs
        self.mlp = MLP((members, num_qs), inputs, hidden_dims, 1, layer_norm)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize parameters; member p uses generators[p]."""
        self.mlp.initialize(generators)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """(P, B, O), (P, B, D) -> (P, K, B)."""
        return self.mlp(torch.cat([observations, actions], dim=-1)).squeeze(-1)


class TimeConditionedCritics(CriticEnsemble):
    """A critic ensemble with the flow time as a further input, so that it also evaluates noisy actions.

    Source: Li & Levine 2026, critic of CGQL.
    """

    extra_inputs = 1

    def forward(self, observations: Tensor, actions: Tensor, t: float | Tensor = 1.0) -> Tensor:
        """(P, B, O), (P, B, D), a number or (P, B, 1) in [0, 1], 1: clean actions -> (P, K, B)."""
        time = t if isinstance(t, Tensor) else torch.full_like(actions[..., :1], t)
        return self.mlp(torch.cat([observations, actions, time], dim=-1)).squeeze(-1)


class ValueNetwork(nn.Module):
    """An MLP on s with LayerNorm: the state value V(s).

    Args:
        members: P.
        observation_dim: O.
        hidden_dims: widths of the hidden layers.
        layer_norm: LayerNorm after each hidden activation.

    Source: Li & Levine 2026, value networks of FAWAC and IFQL.
    """

    def __init__(self, members: int, observation_dim: int, hidden_dims: Sequence[int], layer_norm: bool = True) -> None:
        super().__init__()
        self.mlp = MLP((members,), observation_dim, hidden_dims, 1, layer_norm)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize parameters; member p uses generators[p]."""
        self.mlp.initialize(generators)

    def forward(self, observations: Tensor) -> Tensor:
        """(P, B, O) -> (P, B)."""
        return self.mlp(observations).squeeze(-1)
