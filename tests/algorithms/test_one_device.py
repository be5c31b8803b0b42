"""What a GPU asks of an update, without one: every tensor is where the networks are, and none is read.

torch's device "meta" stands for the GPU. It holds no numbers, so that reading one is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.optim import adam, optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qam_torch.algorithms import QAM, Algorithm, FEdit, ReBRAC
from qam_torch.types import Batch
from tests.helpers.algorithms import EVERY_METHOD, B, kind_of, make, make_batch, make_noise


class OneDevice(TorchDispatchMode):
    """Fails where an operation takes or makes a tensor that is elsewhere."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        assert all(tensor.device.type == "meta" for tensor in tensors), function
        return result


def elsewhere(algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch) -> Algorithm:
    """The algorithm on "meta", which autocast and fused Adam do not know."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(adam, "_get_fused_kernels_supported_devices", lambda: ["meta"], raising=False)
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta"], raising=False)
    algorithm.to("meta")
    algorithm.configure_optimizers()
    algorithm.recorded = False
    return algorithm


def update(algorithm: Algorithm, noise: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    batch = Batch(*(field.to("meta") for field in make_batch(algorithm.members)))
    given = {name: draw[0].to("meta") for name, draw in noise.items()}
    with OneDevice():
        return algorithm.update(batch, given, diagnose=True)


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_an_update_and_acting_stay_on_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = make(kind_of(name), (1, 2), clip_grad=True)
    noise = make_noise(algorithm)
    elsewhere(algorithm, monkeypatch)
    assert all(value.device.type == "meta" for value in update(algorithm, noise).values())
    states = make_batch(2).observations.to("meta")
    draws = {one: states.new_empty(2, *draw.shape) for one, draw in algorithm.policy.draws(B).items()}
    with OneDevice():
        assert algorithm.act(states, draws).shape == (2, B, algorithm.chunk_dim)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (QAM, {"inv_temp": [0.3, 3.0], "lr": [1e-3, 1e-2], "discount": [0.9, 0.99], "rho": [0.0, 1.0]}),
        (FEdit, {"edit_scale": [0.0, 0.1], "edit_target_entropy_multiplier": [0.5, 1.0]}),
        (ReBRAC, {"target_update_rate": [0.1, 0.2], "actor_noise_clip": [0.1, 0.5]}),
    ],
)
def test_members_that_differ_and_may_be_frozen_too(
    kind: type[Algorithm], own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = make(kind, (1, 2), clip_grad=True, **own)
    noise = make_noise(algorithm)
    algorithm.freeze_diverged()
    update(elsewhere(algorithm, monkeypatch), noise)


READS: dict[str, Callable[[torch.Tensor], object]] = {
    "a constant of the host": lambda loss: torch.tensor(2.0),
    "item": lambda loss: loss.sum().item(),
    "a choice": lambda loss: 2.0 if loss.sum() > 0 else 1.0,
    "tolist": lambda loss: loss.tolist()[0],
    "cpu": lambda loss: loss.cpu().numpy(),
    "numpy": lambda loss: loss.numpy(),
    "nonzero": lambda loss: loss.nonzero(),
}


@pytest.mark.parametrize("read", list(READS))
def test_what_waits_for_the_device_or_is_elsewhere_would_be_seen(read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = make(QAM, (1, 2))
    noise = make_noise(algorithm)
    losses = QAM.losses

    def reading(self: QAM, *given: Any) -> Any:
        terms = losses(self, *given)
        READS[read](terms[0].loss.detach())
        return terms

    monkeypatch.setattr(QAM, "losses", reading)
    with pytest.raises((AssertionError, NotImplementedError, RuntimeError, TypeError)):
        update(elsewhere(algorithm, monkeypatch), noise)
