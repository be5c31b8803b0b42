"""The velocity field of a flow policy, f(s, x, t), for a population."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP, activate, apply_layers

__all__ = ["BoundVelocity", "VelocityField"]


class VelocityField(nn.Module):
    """MLP on [s, x, t] without LayerNorm.

    members          int   P
    observation_dim  int   O
    action_dim       int   D, width of the flattened chunk
    hidden_dims      ints  widths of the hidden layers
    layer_norm       bool  LayerNorm after each hidden activation

    Source: Li & Levine 2026, the actors "slow" (f_beta) and "fast" (f_theta) of the reference implementation.
    """

    def __init__(
        self,
        members: int,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.split = [observation_dim, action_dim, 1]
        self.mlp = MLP((members,), sum(self.split), hidden_dims, action_dim, layer_norm)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Draw fresh parameters, member p from generators[p]."""
        self.mlp.initialize(generators)

    def bind(self, observations: Tensor) -> BoundVelocity:
        """f(s, ., .): (P, B, O) -> a callable of x and t."""
        return BoundVelocity(self, observations)

    def forward(self, observations: Tensor, x: Tensor, t: float | Tensor) -> Tensor:
        """(P, B, O), (P, B, D), a number or (P, B, 1) -> (P, B, D)."""
        return self.bind(observations)(x, t)


class BoundVelocity:
    """f(s, ., .) with the observations' share of the first layer computed once for all solver steps.

    Built under `no_grad` it is a constant of the parameters; built with gradients enabled it is differentiable in
    them, and in x either way.
    """

    def __init__(self, field: VelocityField, observations: Tensor) -> None:
        first, *self.rest = field.mlp.layers()
        self.first = first
        self.lone = first.kernel.ndim == 2
        kernel_s, self.kernel_x, self.kernel_t = first.kernel.split(field.split, dim=-2)
        rows = observations.flatten(0, -2) if self.lone else observations
        self.hidden = torch.matmul(rows, kernel_s) + first.bias
        self.shape = observations.shape[:-1]

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        """x (P, B, D) or a path (T, P, B, D); t a number, or a tensor broadcastable to (..., 1) -> shape of x."""
        if x.ndim == len(self.shape) + 2:
            return self._on_path(x, t)
        rows = x.flatten(0, -2) if self.lone else x
        if isinstance(t, Tensor):
            time = t.flatten(0, -2) if self.lone and t.ndim > 1 else t
            hidden = torch.addcmul(self.hidden, time, self.kernel_t)
        else:
            hidden = torch.add(self.hidden, self.kernel_t, alpha=t)
        h = activate(
            torch.addmm(hidden, rows, self.kernel_x) if self.lone else hidden.baddbmm(rows, self.kernel_x), self.first
        )
        return apply_layers(self.rest, h).view(x.shape)

    def _on_path(self, x: Tensor, t: float | Tensor) -> Tensor:
        """All nodes of a path in one batch: (T, P, B, D), t a number or (T, 1, 1, 1)."""
        steps, members, batch, _ = x.shape
        rows = x.transpose(0, 1).reshape(members, steps * batch, -1)
        kernel_t = self.kernel_t.view(members, 1, 1, -1)
        time = t.view(1, steps, 1, 1) if isinstance(t, Tensor) else t
        hidden = (self.hidden.view(members, 1, batch, -1) + time * kernel_t).flatten(1, 2)
        if self.lone:
            h = activate(torch.addmm(hidden[0], rows[0], self.kernel_x), self.first)
        else:
            h = activate(hidden.baddbmm(rows, self.kernel_x), self.first)
        out = apply_layers(self.rest, h)
        return out.view(members, steps, batch, -1).transpose(0, 1)
