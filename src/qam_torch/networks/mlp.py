"""A multilayer perceptron in which every parameter has leading ensemble axes: (P,) or (P, K).

All members are evaluated by batched matrix products. A single network (all ensemble axes have size 1) uses 2-D
products, which are faster on a CPU and give the same results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["MLP", "Layer", "affine", "apply_layers", "gelu"]

LAYER_NORM_EPS = 1e-6
GELU_LINEAR = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715 * GELU_LINEAR

Activation = Callable[[Tensor], Tensor]


class Layer(NamedTuple):
    """Parameters of one layer. The ensemble axes are flattened to one axis E, or dropped if E = 1.

    Attributes:
        kernel: (E, in, out), or (in, out) if E = 1.
        bias: (E, 1, out), or (out,) if E = 1. A GPU adds a bias (out,) in the kernel of the matrix product.
        scale: scale of LayerNorm, with the shape of bias, or None.
        shift: shift of LayerNorm, with the shape of bias, or None.
    """

    kernel: Tensor
    bias: Tensor
    scale: Tensor | None
    shift: Tensor | None


class _SigmoidGelu(torch.autograd.Function):
    """Compute x sigmoid(k(x)) with k(x) = 2 sqrt(2 / pi) (x + 0.044715 x^3), which equals GELU's tanh approximation.

    torch's implementation evaluates tanh, which is the slowest vectorized elementary function on a CPU. With the
    sigmoid, forward and backward take half the time.
    """

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        linear = torch.full((), GELU_LINEAR, dtype=x.dtype, device=x.device)
        gate = torch.addcmul(linear, x, x, value=GELU_CUBIC).mul_(x).sigmoid_()
        return x * gate, gate

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Tensor:
        # d/dx [x s(k)] = s + x k' s (1 - s) with the sigmoid s
        x, gate = ctx.saved_tensors
        linear = torch.full((), GELU_LINEAR, dtype=x.dtype, device=x.device)
        slope = torch.addcmul(linear, x, x, value=3 * GELU_CUBIC).mul_(x)
        return torch.ops.aten.sigmoid_backward(slope, gate).add_(gate).mul_(grad)


def gelu(x: Tensor) -> Tensor:
    """Compute the tanh approximation of GELU, which is the activation of the reference implementation."""
    return F.gelu(x, approximate="tanh") if x.is_cuda else _SigmoidGelu.apply(x)[0]


def affine(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Compute x @ kernel + bias for x (B, in) and kernel (in, out), or batched for (E, B, in) and (E, in, out)."""
    return torch.addmm(bias, x, kernel) if kernel.ndim == 2 else torch.baddbmm(bias, x, kernel)


def activate(h: Tensor, layer: Layer, activation: Activation = gelu) -> Tensor:
    """Apply the activation, then LayerNorm if the layer has one."""
    h = activation(h)
    if layer.scale is None or layer.shift is None:
        return h
    return torch.addcmul(layer.shift, F.layer_norm(h, h.shape[-1:], eps=LAYER_NORM_EPS), layer.scale)


def apply_layers(
    layers: Sequence[Layer], h: Tensor, activate_last: bool = False, activation: Activation = gelu
) -> Tensor:
    """Apply the layers to h (E, B, in), or to h (B, in) if E = 1."""
    *hidden, last = layers
    for layer in layers if activate_last else hidden:
        h = activate(affine(h, layer.kernel, layer.bias), layer, activation)
    return h if activate_last else linear_output(h, last)


def linear_output(h: Tensor, last: Layer) -> Tensor:
    """Apply the last, linear layer in the precision of its parameters, also under autocast.

    Velocities and values are subtracted from each other, for which bfloat16 is too coarse. This layer is cheap.
    """
    if not torch.is_autocast_enabled(h.device.type):
        return affine(h, last.kernel, last.bias)
    with torch.autocast(h.device.type, enabled=False):
        return affine(h.to(last.kernel.dtype), last.kernel, last.bias)


class MLP(nn.Module):
    """Hidden layers (linear, activation, optional LayerNorm), followed by a linear layer.

    Args:
        ensemble: (P,) or (P, K), leading axes of every parameter.
        in_dim: width of the input.
        hidden_dims: widths of the hidden layers.
        out_dim: width of the linear output. With None, the MLP ends with the last hidden layer.
        layer_norm: whether to apply LayerNorm (eps 1e-6) after each hidden activation.
        activation: elementwise function of a tensor.

    Source: Li & Levine 2026, networks of the reference implementation.
    """

    def __init__(
        self,
        ensemble: Sequence[int],
        in_dim: int,
        hidden_dims: Sequence[int],
        out_dim: int | None,
        layer_norm: bool = False,
        activation: Activation = gelu,
    ) -> None:
        super().__init__()
        self.ensemble = tuple(ensemble)
        self.activation = activation
        self.activate_last = out_dim is None
        widths = [in_dim, *hidden_dims, *([] if out_dim is None else [out_dim])]
        lead = self.ensemble
        shapes = list(zip(widths[:-1], widths[1:], strict=True))
        hidden = len(hidden_dims)
        self.kernels = nn.ParameterList(nn.Parameter(torch.empty(*lead, i, o)) for i, o in shapes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(*lead, 1, o)) for _, o in shapes)
        normed = [o for _, o in shapes[:hidden]] if layer_norm else []
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(*lead, 1, o)) for o in normed)
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(*lead, 1, o)) for o in normed)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize kernels Xavier-uniform and biases to zero. Member p draws only from generators[p]."""
        with torch.no_grad():
            for kernel in self.kernels:
                bound = math.sqrt(6.0 / (kernel.shape[-2] + kernel.shape[-1]))
                for member, generator in zip(kernel, generators, strict=True):
                    member.uniform_(-bound, bound, generator=generator)
            for zero in (*self.biases, *self.shifts):
                zero.zero_()
            for one in self.scales:
                one.fill_(1.0)

    def layers(self) -> list[Layer]:
        """Return views of the parameters for `apply_layers`."""
        single = math.prod(self.ensemble) == 1
        axes = len(self.ensemble)

        def view(parameter: Tensor) -> Tensor:
            if single:
                return parameter.view(parameter.shape[axes:])
            return parameter.flatten(0, axes - 1) if axes > 1 else parameter

        def vector(parameter: Tensor) -> Tensor:
            return parameter.flatten() if single else view(parameter)

        norms = len(self.scales)
        return [
            Layer(
                view(kernel),
                vector(bias),
                vector(self.scales[i]) if i < norms else None,
                vector(self.shifts[i]) if i < norms else None,
            )
            for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True))
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map (P, B, in) to (P, B, out) for an ensemble (P,), or to (P, K, B, out) for an ensemble (P, K)."""
        axes = len(self.ensemble)
        if math.prod(self.ensemble) == 1:
            out = apply_layers(self.layers(), x.flatten(0, -2), self.activate_last, self.activation)
        else:
            if axes > 1:
                x = x.unsqueeze(1).expand(*self.ensemble, *x.shape[1:]).flatten(0, 1)
            out = apply_layers(self.layers(), x, self.activate_last, self.activation)
        return out.view(*self.ensemble, -1, out.shape[-1])
