"""Losses are differentiated by the networks they name, and what would mix members or teach nothing is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qam_torch.algorithms import LossTerm
from qam_torch.algorithms.core.loss_terms import differentiate
from qam_torch.types import QamError


class Number(nn.Module):
    """One value per member."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(values))


def networks() -> nn.ModuleDict:
    return nn.ModuleDict({"a": Number(1.0, 2.0), "b": Number(3.0, 4.0), "c": Number(5.0, 6.0)})


def term(loss: Tensor, *trains: str) -> LossTerm:
    return LossTerm(loss, dict, trains)


def test_a_network_gets_the_gradients_of_the_losses_that_name_it() -> None:
    them = networks()
    a, b = them["a"].value, them["b"].value
    gradients = differentiate([term(a * b, "a"), term(a**2, "a"), term(10 * a * b, "b")], them, 2)
    assert gradients[0] is not None and gradients[1] is not None and gradients[2] is None
    torch.testing.assert_close(gradients[0], (b + 2 * a).detach())
    torch.testing.assert_close(gradients[1], 10 * a.detach())


def test_a_loss_of_two_networks_moves_both() -> None:
    them = networks()
    a, b = them["a"].value, them["b"].value
    gradients = differentiate([term(a * b, "a", "b"), term(3 * b, "b")], them, 2)
    assert gradients[0] is not None and gradients[1] is not None
    torch.testing.assert_close(gradients[0], b.detach())
    torch.testing.assert_close(gradients[1], a.detach() + 3)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1)])
def test_a_loss_that_is_not_one_number_a_member_is_refused(shape: tuple[int, ...]) -> None:
    them = networks()
    loss = them["a"].value.sum().expand(shape)
    with pytest.raises(QamError, match=r"the loss of a has shape \(.*\): expected \(2,\), one value per member"):
        differentiate([term(loss, "a")], them, 2)


@pytest.mark.parametrize("trains", [(), ("aa",), ("a", "actor")])
def test_a_loss_of_networks_there_are_not_is_refused(trains: tuple[str, ...]) -> None:
    them = networks()
    with pytest.raises(QamError, match="expected names of networks among a, b, c"):
        differentiate([term(them["a"].value, *trains)], them, 2)
