"""A policy as a tensor program: inputs are observations and noise, outputs are chunks of actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import batch_axis
from qam_torch.types import Draw, QamError, differentiates

__all__ = ["NoiseInput", "PolicyProgram", "traced"]

EXAMPLE_ROWS = 2
"""Batch size of the example with which a program is traced. torch.export would treat 1 as a constant."""


class NoiseInput(NamedTuple):
    """One noise input of a program.

    Attributes:
        shape: shape of the noise for one observation. The input has the shape (B, *shape).
        axis: batch axis of the draw as the policy takes it. With best-of-N it has several rows per observation.
        rows_each: rows per observation on this axis.
        distribution: the distribution in words.
    """

    shape: tuple[int, ...]
    axis: int
    rows_each: int
    distribution: str

    @classmethod
    def of(cls, draw: Draw, draw_of_two: Draw) -> NoiseInput:
        """The input that corresponds to a draw of the policy.

        Args:
            draw: the draw for one observation.
            draw_of_two: the same draw for two observations; the axis that differs is the batch axis.
        """
        axis = batch_axis(draw.shape, draw_of_two.shape)
        rows_each = draw.shape[axis]
        shape = draw.shape if rows_each > 1 else (*draw.shape[:axis], *draw.shape[axis + 1 :])
        words = "standard normal"
        if draw.integers is not None:
            words = f"uniform integers from {draw.first} to {draw.integers}"
        elif draw.uniform:
            words = "uniform on [0, 1)"
        return cls(shape, axis, rows_each, words)

    def as_draw(self, noise: Tensor) -> Tensor:
        """Convert an input (B, *shape) to the draw that the policy takes, with a member axis of size 1."""
        rows = noise.movedim(0, self.axis)
        return (rows.flatten(self.axis, self.axis + 1) if self.rows_each > 1 else rows)[None]


class _UsedParameters(TorchFunctionMode):
    """Records which parameters are used. Others, such as the critics of a flow policy, are not exported."""

    def __init__(self) -> None:
        super().__init__()
        self.used_ids: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.used_ids |= {id(one) for one in tree_leaves((args, kwargs)) if isinstance(one, nn.Parameter)}
        return func(*args, **(kwargs or {}))

    def select(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """The networks of which at least one parameter was used."""
        used = {
            name: net for name, net in networks.items() if any(id(one) in self.used_ids for one in net.parameters())
        }
        return nn.ModuleDict(used)


class PolicyProgram(nn.Module):
    """The policy of one member as a module. Its observations are those of the environment, not normalized.

    Args:
        algorithm: an algorithm with one member.
        action_dim: size of one action, A.

    Attributes:
        noise: name -> noise input, in the order of the inputs after the observations.

    Raises:
        QamError: the policy computes gradients to select actions.
    """

    def __init__(self, algorithm: Algorithm, action_dim: int) -> None:
        super().__init__()
        self.normalization = algorithm.normalization
        self.policy, self.action_dim = algorithm.normalization.wrap_policy(algorithm.policy), action_dim
        self.observation_dim, self.dtype = algorithm.observation_dim, algorithm.network_dtype
        if differentiates(self.policy):
            raise QamError(
                f"the policy of {type(algorithm).__name__} differentiates its critic to select actions, which "
                "pt2 and onnx cannot represent: use --format safetensors for its weights, or qam_torch.load_policy"
            )
        draws, larger = self.policy.draws(1), self.policy.draws(2)
        self.noise = {name: NoiseInput.of(draw, larger[name]) for name, draw in draws.items()}
        with torch.no_grad(), _UsedParameters() as used:
            self(*self.example(1))
        self.networks, self.targets = used.select(algorithm.networks), used.select(algorithm.targets)

    def forward(self, observations: Tensor, *noise: Tensor) -> Tensor:
        """Select actions.

        Args:
            observations: (B, O).
            *noise: (B, *shape) each, in the order of `noise`.

        Returns:
            (B, h, A) in [-1, 1]; (B, 1, A) without action chunking.
        """
        named = {name: one.as_draw(given) for (name, one), given in zip(self.noise.items(), noise, strict=True)}
        return self.policy(observations[None], named)[0].unflatten(-1, (-1, self.action_dim))

    def example(self, rows: int) -> tuple[Tensor, ...]:
        """Inputs of zeros for `rows` observations."""
        shapes = [(self.observation_dim,), *(one.shape for one in self.noise.values())]
        return tuple(torch.zeros(rows, *shape, dtype=self.dtype) for shape in shapes)


def traced(program: PolicyProgram) -> torch.export.ExportedProgram:
    """Trace the program as a graph of tensor operations, for any number B >= 1 of observations.

    Raises:
        QamError: torch.export cannot represent the policy.
    """
    batch = torch.export.Dim("batch", min=1)
    inputs = program.example(EXAMPLE_ROWS)
    rows = ({0: batch}, tuple({0: batch} for _ in inputs[1:]))
    try:
        with torch.no_grad():
            return torch.export.export(program, inputs, dynamic_shapes=rows)
    except Exception as error:  # torch.export raises errors without a common class
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        raise QamError(
            f"the policy cannot be exported (torch.export: {reason}): use --format safetensors for its weights"
        ) from error
