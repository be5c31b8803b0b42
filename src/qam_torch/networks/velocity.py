"""The velocity field f(s, x, t) of a flow policy, for a population."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP, activate, affine, apply_layers, gelu
from qam_torch.types import Pullback

__all__ = ["BoundVelocity", "VelocityField"]


class VelocityField(nn.Module):
    """MLP on [s, x, t], by default without LayerNorm.

    Args:
        members: P.
        observation_dim: O.
        action_dim: D, width of the flattened chunk.
        hidden_dims: widths of the hidden layers.
        layer_norm: whether to apply LayerNorm after each hidden activation.

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
        """Initialize the parameters. Member p draws from generators[p]."""
        self.mlp.initialize(generators)

    def bind(self, observations: Tensor) -> BoundVelocity:
        """Return f(s, ., .), a function of x and t, for observations (P, B, O)."""
        return BoundVelocity(self, observations)

    def forward(self, observations: Tensor, x: Tensor, t: float | Tensor) -> Tensor:
        """Compute the velocity: (P, B, O), (P, B, D), t -> (P, B, D). The time t is a number or (P, B, 1)."""
        return self.bind(observations)(x, t)


class BoundVelocity:
    """The function f(s, ., .). It computes the observation's part of the first layer once for all solver steps.

    It is always differentiable in x. If built with gradients enabled, it is also differentiable in the parameters. If
    built under `no_grad`, no gradient reaches the parameters of the first layer. If P = 1, none reaches the other
    layers either; if P > 1, their parameters get gradients unless the call is also under `no_grad`.
    """

    def __init__(self, field: VelocityField, observations: Tensor) -> None:
        first, *self.rest = field.mlp.layers()
        self.first = first
        self.single = first.kernel.ndim == 2
        kernel_s, self.kernel_x, self.kernel_t = first.kernel.split(field.split, dim=-2)
        rows = observations.flatten(0, -2) if self.single else observations
        self.hidden = affine(rows, kernel_s, first.bias)
        self.shape = observations.shape[:-1]

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Compute the velocity.

        Args:
            x: (P, B, D), or a path (T, P, B, D).
            t: number, or tensor broadcastable to (..., 1).

        Returns:
            The velocity, with the shape of x.
        """
        if x.ndim == len(self.shape) + 2:
            return self._on_path(x, t)
        rows = x.flatten(0, -2) if self.single else x
        if isinstance(t, Tensor):
            time = t.flatten(0, -2) if self.single and t.ndim > 1 else t
            hidden = torch.addcmul(self.hidden, time, self.kernel_t)
        else:
            hidden = torch.add(self.hidden, self.kernel_t, alpha=t)
        h = activate(
            torch.addmm(hidden, rows, self.kernel_x) if self.single else hidden.baddbmm(rows, self.kernel_x), self.first
        )
        return apply_layers(self.rest, h).view(x.shape)

    def linearize(self, xs: Tensor, ts: Tensor) -> list[Pullback]:
        """Compute the pullbacks g -> (dv/dx)^T g at the T nodes of a path with one batched forward pass.

        Between its linear layers the network is elementwise, so that a pullback only needs the derivatives of the
        activations. With LayerNorm this does not hold, and each node is differentiated separately.

        Args:
            xs: (T, P, B, D), points of the path.
            ts: (T, 1, 1, 1), times of the points.
        """
        if self.first.scale is not None:
            return [self._pullback(x, t) for x, t in zip(xs, ts, strict=True)]
        steps, members, batch, _ = xs.shape
        kernels = [self.kernel_x, *(layer.kernel for layer in self.rest)]
        h, slopes = self._first_on_path(xs, ts), []
        for layer in self.rest:
            activated, derivative = torch.func.vjp(gelu, h)[:2]
            (slope,) = derivative(torch.ones_like(h))
            slopes.append(slope.view(members, steps, batch, -1).transpose(0, 1))
            if layer is not self.rest[-1]:
                h = affine(activated, layer.kernel, layer.bias)

        def pullback(node: int, g: Tensor) -> Tensor:
            rows = g.flatten(0, -2) if self.single else g
            for kernel, slope in zip(reversed(kernels[1:]), reversed(slopes), strict=True):
                rows = torch.matmul(rows, kernel.mT)
                rows = rows * (slope[node, 0] if self.single else slope[node])
            return torch.matmul(rows, kernels[0].mT).view(g.shape)

        return [partial(pullback, node) for node in range(steps)]

    def _pullback(self, x: Tensor, t: Tensor) -> Pullback:
        product = torch.func.vjp(lambda point: self(point, t), x)[1]
        return lambda g: product(g)[0]

    def _on_path(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Compute the velocity at all nodes of a path (T, P, B, D) in one batch; t is a number or (T, 1, 1, 1)."""
        steps, members, batch, _ = x.shape
        out = apply_layers(self.rest, activate(self._first_on_path(x, t), self.first))
        return out.view(members, steps, batch, -1).transpose(0, 1)

    def _first_on_path(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Compute the first layer before its activation for all nodes: (P, T B, H), or (T B, H) if P = 1."""
        steps, members, batch, _ = x.shape
        rows = x.transpose(0, 1).reshape(members, steps * batch, -1)
        kernel_t = self.kernel_t.view(members, 1, 1, -1)
        time = t.view(1, steps, 1, 1) if isinstance(t, Tensor) else t
        hidden = (self.hidden.view(members, 1, batch, -1) + time * kernel_t).flatten(1, 2)
        return torch.addmm(hidden[0], rows[0], self.kernel_x) if self.single else hidden.baddbmm(rows, self.kernel_x)
