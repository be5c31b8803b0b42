"""The velocity field of a flow policy, f(s, x, t), for a population."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP, activate, affine, apply_layers, gelu
from qam_torch.types import Pullback

__all__ = ["BoundVelocity", "VelocityField"]


class VelocityField(nn.Module):
    """MLP on [s, x, t] without LayerNorm.

    Args:
        members: P.
        observation_dim: O.
        action_dim: D, width of the flattened chunk.
        hidden_dims: widths of the hidden layers.
        layer_norm: LayerNorm after each hidden activation.

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
        """Initialize parameters; member p uses generators[p]."""
        self.mlp.initialize(generators)

    def bind(self, observations: Tensor) -> BoundVelocity:
        """f(s, ., .): (P, B, O) -> a callable of x and t."""
        return BoundVelocity(self, observations)

    def forward(self, observations: Tensor, x: Tensor, t: float | Tensor) -> Tensor:
        """(P, B, O), (P, B, D), a number or (P, B, 1) -> (P, B, D)."""
        return self.bind(observations)(x, t)


class BoundVelocity:
    """f(s, ., .) with the first layer's observation term computed once for all solver steps.

    Built under `no_grad`, it is detached from the parameters; built with gradients enabled, it is not. It is always
    differentiable in x.
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
        """x (P, B, D) or a path (T, P, B, D); t a number, or a tensor broadcastable to (..., 1) -> shape of x."""
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
        """The pullbacks g -> (dv/dx)^T g at the T nodes of a path, from one batched forward pass.

        xs (T, P, B, D), ts (T, 1, 1, 1). Between its linear layers the network is elementwise, so that a pullback only
        needs the activations' derivatives; with LayerNorm, each node is differentiated separately.
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
        """All nodes of a path in one batch: (T, P, B, D), t a number or (T, 1, 1, 1)."""
        steps, members, batch, _ = x.shape
        out = apply_layers(self.rest, activate(self._first_on_path(x, t), self.first))
        return out.view(members, steps, batch, -1).transpose(0, 1)

    def _first_on_path(self, x: Tensor, t: float | Tensor) -> Tensor:
        """The first layer before its activation, of all nodes: (P, T B, H), or (T B, H) if P = 1."""
        steps, members, batch, _ = x.shape
        rows = x.transpose(0, 1).reshape(members, steps * batch, -1)
        kernel_t = self.kernel_t.view(members, 1, 1, -1)
        time = t.view(1, steps, 1, 1) if isinstance(t, Tensor) else t
        hidden = (self.hidden.view(members, 1, batch, -1) + time * kernel_t).flatten(1, 2)
        return torch.addmm(hidden[0], rows[0], self.kernel_x) if self.single else hidden.baddbmm(rows, self.kernel_x)
