"""The summands of a method's objective, and their gradients: each network is moved only by the losses that name it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qam_torch.types import Metrics, QamError

__all__ = ["LossTerm", "differentiate"]


class LossTerm(NamedTuple):
    """One summand of a method's objective.

    Attributes:
        loss: (P,), with gradient.
        metrics: diagnostics, computed when asked for; the first is the loss itself, before any weight, and names it.
        trains: names of the only networks this loss moves.
    """

    loss: Tensor
    metrics: Metrics
    trains: tuple[str, ...]


def differentiate(terms: Sequence[LossTerm], networks: nn.ModuleDict, members: int) -> list[Tensor | None]:
    """Differentiate every network by the sum of its own losses.

    Args:
        networks: by the names that the terms use.
        members: P.

    Returns:
        Gradients in the order of `networks.parameters()`, None where no loss names the network.

    Raises:
        QamError: for a loss that is not one number a member, or that moves a network there is not.
    """
    totals: dict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    for term in terms:
        _require_well_formed(term, networks, members)
        totals[term.trains].append(term.loss.sum())
    found: dict[Tensor, Tensor] = {}
    for names, summands in totals.items():
        parameters = [p for name in names for p in networks[name].parameters()]
        for p, g in zip(parameters, torch.autograd.grad(sum(summands[1:], summands[0]), parameters), strict=True):
            found[p] = found[p] + g if p in found else g.contiguous()
    return [found.get(p) for p in networks.parameters()]


def _require_well_formed(term: LossTerm, networks: nn.ModuleDict, members: int) -> None:
    """One loss a member, of networks there are: else members would mix, or a network not learn, without a word."""
    if not term.trains or not set(term.trains) <= set(networks):
        raise QamError(
            f"a loss says that it moves {term.trains}: expected names of networks, some of {', '.join(networks)}"
        )
    if term.loss.shape != (members,):
        raise QamError(
            f"the loss of {' and '.join(term.trains)} has shape {tuple(term.loss.shape)}: expected ({members},), one "
            "number a member, so reduce over rows and dimensions but not over members"
        )
