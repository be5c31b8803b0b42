"""Loss terms of a method and their gradients. A loss trains only the networks listed in `LossTerm.trains`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qam_torch.types import Metrics, QamError

__all__ = ["LossTerm", "differentiate"]


class LossTerm(NamedTuple):
    """One term of a method's objective.

    Attributes:
        loss: (P,), with gradient.
        metrics: a function that computes diagnostics. The first is the unweighted loss; its name is used as the loss's
            name.
        trains: names of the networks this loss trains.
    """

    loss: Tensor
    metrics: Metrics
    trains: tuple[str, ...]


def differentiate(terms: Sequence[LossTerm], networks: nn.ModuleDict, members: int) -> list[Tensor | None]:
    """Gradients of each network: of the sum of the losses that train it.

    Args:
        terms: losses (P,), in any order.
        networks: name -> network, with the names used in `LossTerm.trains`.
        members: number of members, P.

    Returns:
        Gradients in the order of `networks.parameters()`. None for networks that no loss trains.

    Raises:
        QamError: a loss does not have one value per member, or trains an unknown network.
    """
    totals: dict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    for term in terms:
        _require_well_formed(term, networks, members)
        totals[term.trains].append(term.loss.sum())
    gradients: dict[Tensor, Tensor] = {}
    for names, summands in totals.items():
        parameters = [p for name in names for p in networks[name].parameters()]
        for p, g in zip(parameters, torch.autograd.grad(sum(summands[1:], summands[0]), parameters), strict=True):
            gradients[p] = gradients[p] + g if p in gradients else g.contiguous()
    return [gradients.get(p) for p in networks.parameters()]


def _require_well_formed(term: LossTerm, networks: nn.ModuleDict, members: int) -> None:
    """Raise QamError for a loss that would mix members, or that trains no known network."""
    if not term.trains or not set(term.trains) <= set(networks):
        raise QamError(f"a loss trains {term.trains}: expected names of networks among {', '.join(networks)}")
    if term.loss.shape != (members,):
        raise QamError(
            f"the loss of {' and '.join(term.trains)} has shape {tuple(term.loss.shape)}: expected ({members},), one "
            "value per member, so reduce over rows and dimensions but not over members"
        )
