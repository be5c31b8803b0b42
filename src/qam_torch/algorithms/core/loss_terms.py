"""Loss terms of a method and their gradients: each network is trained only by the losses that name it."""

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
        metrics: diagnostics, computed when called; the first is the unweighted loss, and its name names the loss.
        trains: names of the networks this loss trains.
    """

    loss: Tensor
    metrics: Metrics
    trains: tuple[str, ...]


def differentiate(terms: Sequence[LossTerm], networks: nn.ModuleDict, members: int) -> list[Tensor | None]:
    """Differentiate every network by the sum of its own losses.

    Args:
        terms: losses (P,), in any order.
        networks: by the names that the terms use.
        members: P.

    Returns:
        Gradients in the order of `networks.parameters()`, None where no loss names the network.

    Raises:
        QamError: for a loss that is not one value per member, or names an unknown network.
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
    """Require one loss per member and known networks, or members would mix, or a network not learn."""
    if not term.trains or not set(term.trains) <= set(networks):
        raise QamError(f"a loss trains {term.trains}: expected names of networks among {', '.join(networks)}")
    if term.loss.shape != (members,):
        raise QamError(
            f"the loss of {' and '.join(term.trains)} has shape {tuple(term.loss.shape)}: expected ({members},), one "
            "value per member, so reduce over rows and dimensions but not over members"
        )
