"""Critics: K independent action-value networks per member, and one state-value network per member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP

__all__ = ["CriticEnsemble", "TimeConditionedCritics", "ValueNetwork"]


class CriticEnsemble(nn.Module):
    """K MLPs Q(s, a) per member, evaluated together. Their input is [s, a].

    Args:
        members: P.
        num_qs: K.
        observation_dim: O.
        action_dim: D, width of the flattened chunk.
        hidden_dims: widths of the hidden layers.
        layer_norm: whether to apply LayerNorm after each hidden activation.

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
        """Initialize the parameters. Member p draws from generators[p]."""
        self.mlp.initialize(generators)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Compute Q(s, a): (P, B, O), (P, B, D) -> (P, K, B)."""
        return self.mlp(torch.cat([observations, actions], dim=-1)).squeeze(-1)


class TimeConditionedCritics(CriticEnsemble):
    """A critic ensemble that also evaluates noisy actions. The flow time is an additional input.

    Source: Li & Levine 2026, critic of CGQL.
    """

    extra_inputs = 1

    def forward(self, observations: Tensor, actions: Tensor, t: float | Tensor = 1.0) -> Tensor:
        """Compute Q(s, a, t): (P, B, O), (P, B, D), t -> (P, K, B).

        The flow time t is a number or (P, B, 1), in [0, 1]. Actions are clean at t = 1.
        """
        time = t if isinstance(t, Tensor) else torch.full_like(actions[..., :1], t)
        return self.mlp(torch.cat([observations, actions, time], dim=-1)).squeeze(-1)


class ValueNetwork(nn.Module):
    """An MLP on s that computes the state value V(s).

    Args:
        members: P.
        observation_dim: O.
        hidden_dims: widths of the hidden layers.
        layer_norm: whether to apply LayerNorm after each hidden activation.

    Source: Li & Levine 2026, value networks of FAWAC and IFQL.
    """

    def __init__(self, members: int, observation_dim: int, hidden_dims: Sequence[int], layer_norm: bool = True) -> None:
        super().__init__()
        self.mlp = MLP((members,), observation_dim, hidden_dims, 1, layer_norm)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize the parameters. Member p draws from generators[p]."""
        self.mlp.initialize(generators)

    def forward(self, observations: Tensor) -> Tensor:
        """Compute V(s): (P, B, O) -> (P, B)."""
        return self.mlp(observations).squeeze(-1)
