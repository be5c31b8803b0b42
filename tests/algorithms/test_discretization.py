"""QAM with another discretization and solver: updates, recordings, runs, checkpoints and mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.algorithms import CGQL, FQL, QAM, QAME, QAMF, Algorithm
from qam_torch.config.composition import compose
from qam_torch.flows import AncestralDiscretization, ShiftedDiscretization
from qam_torch.objectives import matching_targets
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError
from tests.helpers.algorithms import make, make_batch, make_noise
from tests.helpers.runs import Fit

ANCESTRAL = {"_target_": "qam_torch.flows.AncestralDiscretization", "spread": 0.5}
OTHER = {"discretization": ANCESTRAL, "solver": "midpoint", "flow_steps": 4}


def updated(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    """The parameters after three updates."""
    noise = make_noise(algorithm, 3)
    for u in range(3):
        algorithm.update(make_batch(algorithm.members, seed=u), {name: draw[u] for name, draw in noise.items()})
    return {name: value.clone() for name, value in algorithm.networks.named_parameters()}


def test_the_papers_is_the_default() -> None:
    assert isinstance(make(QAM).discretization, ShiftedDiscretization)
    config = compose(["algo=qam"])
    assert config.algo.discretization == {"_target_": "qam_torch.flows.ShiftedDiscretization"}
    assert config.algo.solver == "euler"


@pytest.mark.parametrize("kind", [QAM, QAMF, QAME])
def test_a_recorded_update_is_bit_for_bit_the_unrecorded_one(kind: type[Algorithm]) -> None:
    recorded, plain, paper = make(kind, (3, 4), **OTHER), make(kind, (3, 4), **OTHER), make(kind, (3, 4), flow_steps=4)
    plain.recorded = paper.recorded = False
    first, second, third = updated(recorded), updated(plain), updated(paper)
    assert recorded.recordings
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first if name.startswith("f_theta"))


def test_a_member_equals_its_lone_run() -> None:
    together, alone = make(QAM, (5, 1), **OTHER), make(QAM, (1,), **OTHER)
    pair, noise = make_batch(2), make_noise(together)
    together.update(pair, {name: draw[0] for name, draw in noise.items()})
    own = type(pair)(*(field[1:] for field in pair))
    alone.update(own, {name: draw[0] for name, draw in make_noise(alone).items()})
    for name, value in alone.networks.named_parameters():
        other = dict(together.networks.named_parameters())[name]
        torch.testing.assert_close(other[1], value[0], rtol=1e-9, atol=1e-11, msg=name)


def test_the_base_flow_is_evaluated_once_at_a_node_less_often_than_with_a_shift() -> None:
    def evaluations(discretization: AncestralDiscretization | ShiftedDiscretization) -> int:
        seen: list[float] = []

        def base(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
            seen.append(float(torch.as_tensor(t).flatten()[-1]))
            return -x

        matching_targets(
            lambda x, t: -2 * x, base, lambda a: a.sum(-1), torch.randn(1, 3, 2), torch.randn(5, 1, 3, 2), 6, 1.0,
            discretization=discretization,
        )  # fmt: skip
        return len(seen)

    # Once at the last node and once in one call at all others; and for the adjoint at every node but the first.
    assert (evaluations(AncestralDiscretization()), evaluations(ShiftedDiscretization())) == (2 + 5, 2 + 6)


@pytest.mark.parametrize("kind", [QAM, FQL, CGQL])
@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_solver_evaluates_the_flow_flow_steps_times(
    kind: type[Algorithm], solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = make(kind, flow_steps=6, solver=solver)
    times: list[float] = []
    field = algorithm.flow_policy.field

    def counted(observations: torch.Tensor):
        velocity = field(observations)

        def at(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
            times.append(float(t))
            return velocity(x, t)

        return at

    monkeypatch.setattr(algorithm.flow_policy, "field", counted)
    batch = make_batch(1)
    draws = {name: torch.randn(1, *draw.shape).double() for name, draw in algorithm.flow_policy.draws(4).items()}
    algorithm.flow_policy(batch.observations[:, :4], draws)
    assert times == pytest.approx([i / 6 for i in range(6)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"solver": "midpoint", "flow_steps": 5},
            "algo.solver=midpoint evaluates the flow twice per step, but algo.flow_steps=5 is odd: give an even "
            "number, e.g. algo.flow_steps=6",
        ),
        ({"solver": "rk4"}, "algo.solver=rk4 is out of range: expected euler or midpoint"),
        ({"solver": ["euler"]}, "algo.solver=['euler'] is out of range: expected euler or midpoint"),
        (
            {"discretization": {"_target_": "qam_torch.flows.Nothing"}},
            "algo.discretization._target_=qam_torch.flows.Nothing cannot be found",
        ),
        ({"discretization": {**ANCESTRAL, "stride": 2}}, "unexpected keyword argument 'stride'"),
        ({"discretization": {**ANCESTRAL, "spread": -1}}, "algo.discretization.spread=-1 is out of range"),
        (
            {"discretization": {**ANCESTRAL, "spread": [0.5, 1]}},
            "algo.discretization.spread=[0.5, 1] is out of range: expected a finite number > 0",
        ),
        (
            {"discretization": "ancestral"},
            "algo.discretization=ancestral is out of range: expected keys with a _target_; "
            "algo/discretization=ancestral chooses a config",
        ),
        ({"discretization": {}}, "algo.discretization={} is out of range: expected keys with a _target_"),
        (
            {"discretization": {"_target_": "qam_torch.flows.Discretization"}},
            "algo.discretization of class qam_torch.flows.Discretization cannot be created",
        ),
    ],
)
def test_a_mistake_is_one_sentence(given: dict, message: str) -> None:
    with pytest.raises(QamError, match=re.escape(message)):
        make(QAM, **given)


@pytest.mark.parametrize("target", ["os.mkdir", "collections.OrderedDict"])
def test_nothing_but_a_discretization_is_called(target: str, tmp_path: Path) -> None:
    """A checkpoint has the description, and may be from anyone."""
    with pytest.raises(QamError, match="is not a subclass of Discretization: give one, or algo/discretization=NAME"):
        make(QAM, discretization={"_target_": target, "path": str(tmp_path / "made")})
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("discretization", [None, ANCESTRAL])
def test_a_flow_of_one_step_is_updated(discretization: dict | None) -> None:
    algorithm = make(QAM, (3, 4), flow_steps=1, discretization=discretization)
    before = {name: value.clone() for name, value in algorithm.networks.named_parameters()}
    after = updated(algorithm)
    assert all(value.isfinite().all() for value in after.values())
    assert not all(torch.equal(before[name], after[name]) for name in after if name.startswith("f_theta"))


def test_the_group_chooses_and_its_keys_can_be_overridden() -> None:
    words = ["algo=qam_e", "algo/discretization=ancestral", "algo.discretization.spread=0.7", "algo.flow_steps=4"]
    method = read_settings(compose([*words, "algo.solver=midpoint"])).method
    algorithm, arguments = method.build(observation_dim=3, action_dim=2)
    assert isinstance(algorithm, QAME) and isinstance(algorithm.discretization, AncestralDiscretization)
    assert algorithm.discretization.spread == 0.7 and algorithm.flow_policy.solver == "midpoint"
    assert arguments["discretization"] == {"_target_": "qam_torch.flows.AncestralDiscretization", "spread": 0.7}


def test_a_run_is_stored_with_its_discretization_and_loaded_with_it(tiny_fit: Fit, tmp_path: Path) -> None:
    words = ("algo/discretization=ancestral", "algo.solver=midpoint", "algo.flow_steps=4", "seeds=[1,2]")
    run = tiny_fit(tmp_path / "run", *words)
    policy = qam_torch.load_policy(run.directory, member=1, noise_seed=3)
    assert run.algorithm is not None and isinstance(run.algorithm.discretization, AncestralDiscretization)
    observations = np.random.default_rng(0).normal(size=(6, 2))
    chunks = policy(observations)
    again = qam_torch.load_policy(run.directory, member=1, noise_seed=3)(observations)
    np.testing.assert_array_equal(chunks, again)
    assert np.abs(chunks).max() <= 1 and chunks.std() > 0
