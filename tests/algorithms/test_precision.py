"""Matrix products in bfloat16: the update stays what it is, to a bfloat16's two or three digits."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from torch import Tensor

from qam_torch.algorithms import QAM, Algorithm
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make, make_batch, make_noise

WIDE = {"actor_hidden_dims": (64, 64), "value_hidden_dims": (64, 64)}


def single(name: str) -> Algorithm:
    return make(kind_of(name), seeds=(3, 4), **WIDE).float()


def by_network(algorithm: Algorithm, mixed: bool) -> dict[str, Tensor]:
    """Network -> all its gradients of one fixed batch, behind one another."""
    algorithm.mixed_precision = mixed
    batch = type(make_batch(2))(*(field.float() for field in make_batch(2)))
    noise = {name: draw[0].float() for name, draw in make_noise(algorithm).items()}
    found: dict[str, list[Tensor]] = defaultdict(list)
    _, gradients = algorithm.gradients(batch, noise)
    for (name, _), gradient in zip(algorithm.networks.named_parameters(), gradients, strict=True):
        if gradient is not None:
            assert gradient.dtype == torch.float32, name
            found[name.split(".")[0]].append(gradient.flatten())
    return {name: torch.cat(parts) for name, parts in found.items()}


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_gradients_are_those_of_full_precision_to_a_few_digits(name: str) -> None:
    algorithm = single(name)
    full, mixed = by_network(algorithm, False), by_network(algorithm, True)
    assert full.keys() == mixed.keys()
    for network, gradient in full.items():
        error = (mixed[network] - gradient).norm() / gradient.norm()
        assert error < 0.1, (network, error)
    assert any(not torch.equal(mixed[network], full[network]) for network in full)


@pytest.mark.slow
def test_what_is_recorded_is_in_the_same_precision() -> None:
    results = []
    for recorded in (True, False):
        algorithm = single("QAM")
        algorithm.recorded, algorithm.mixed_precision = recorded, True
        batch = type(make_batch(2))(*(field.float() for field in make_batch(2)))
        algorithm.update(batch, {name: draw[0].float() for name, draw in make_noise(algorithm).items()})
        results.append(algorithm.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert {value.dtype for value in results[0].values()} == {torch.float32}


def test_network_outputs_are_not_rounded() -> None:
    algorithm = make(QAM, **WIDE).float()
    x = torch.randn(1, 5, algorithm.chunk_dim)
    with torch.autocast("cpu", torch.bfloat16):
        velocity = algorithm.network("f_theta")(torch.randn(1, 5, 3), x, 0.5)
    assert velocity.dtype == torch.float32 and not torch.equal(velocity, velocity.bfloat16().float())
