"""A policy as a program of tensors: observations and acting noise in, chunks of actions out."""

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
"""Observations of the example that a program is traced with; 1 would be taken for a constant."""


class NoiseInput(NamedTuple):
    """One input of acting noise.

    Attributes:
        shape: of one observation's noise; an input has the shape (B, *shape).
        axis: of the policy's own draw on which its rows lie, several of them for each observation with best-of-N.
        each: rows for each observation.
        distribution: in words.
    """

    shape: tuple[int, ...]
    axis: int
    each: int
    distribution: str

    @classmethod
    def of(cls, draw: Draw, larger: Draw) -> NoiseInput:
        """The input for a draw of one observation.

        Args:
            draw: of one observation.
            larger: the same of two observations.
        """
        axis = batch_axis(draw.shape, larger.shape)
        each = draw.shape[axis]
        shape = draw.shape if each > 1 else (*draw.shape[:axis], *draw.shape[axis + 1 :])
        words = "standard normal"
        if draw.integers is not None:
            words = f"uniform integers from {draw.first} to {draw.integers}"
        elif draw.uniform:
            words = "uniform on [0, 1)"
        return cls(shape, axis, each, words)

    def drawn(self, given: Tensor) -> Tensor:
        """An input (B, *shape) as the policy's own draw of one member."""
        rows = given.movedim(0, self.axis)
        return (rows.flatten(self.axis, self.axis + 1) if self.each > 1 else rows)[None]


class _UsedParameters(TorchFunctionMode):
    """Notes which parameters operations are applied to; a file needs no others, such as critics of a flow policy."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found |= {id(one) for one in tree_leaves((args, kwargs)) if isinstance(one, nn.Parameter)}
        return func(*args, **(kwargs or {}))

    def of(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        """The networks with a parameter that was used."""
        used = {name: net for name, net in networks.items() if any(id(one) in self.found for one in net.parameters())}
        return nn.ModuleDict(used)


class PolicyProgram(nn.Module):
    """The policy of one member as a module, observations as the environment gives them.

    Args:
        algorithm: a population of one.
        action_dim: A.

    Attributes:
        noise: the inputs after the observations, by name.

    Raises:
        QamError: the policy computes gradients as it acts.
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
        self.networks, self.targets = used.of(algorithm.networks), used.of(algorithm.targets)

    def forward(self, observations: Tensor, *noise: Tensor) -> Tensor:
        """Choose actions.

        Args:
            observations: (B, O).
            *noise: (B, *shape) each, in the order of `noise`.

        Returns:
            (B, h, A) in [-1, 1], (B, 1, A) in n-step mode.
        """
        named = {name: one.drawn(given) for (name, one), given in zip(self.noise.items(), noise, strict=True)}
        return self.policy(observations[None], named)[0].unflatten(-1, (-1, self.action_dim))

    def example(self, rows: int) -> tuple[Tensor, ...]:
        """Inputs of the right shapes for B observations."""
        shapes = [(self.observation_dim,), *(one.shape for one in self.noise.values())]
        return tuple(torch.zeros(rows, *shape, dtype=self.dtype) for shape in shapes)


def traced(program: PolicyProgram) -> torch.export.ExportedProgram:
    """The program as a graph of tensor operations, for any number B >= 1 of observations.

    Raises:
        QamError: the policy does something that torch.export cannot express.
    """
    batch = torch.export.Dim("batch", min=1)
    inputs = program.example(EXAMPLE_ROWS)
    rows = ({0: batch}, tuple({0: batch} for _ in inputs[1:]))
    try:
        with torch.no_grad():
            return torch.export.export(program, inputs, dynamic_shapes=rows)
    except Exception as error:  # of torch.export, whose causes have no common class
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        raise QamError(
            f"the policy cannot be exported (torch.export: {reason}): use --format safetensors for its weights"
        ) from error
