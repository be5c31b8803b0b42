"""A member of a population is the run it would have been alone, and can be taken out."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError
from tests.helpers.runs import Command, Fit, environment


def rows(directory: Path, seed: int) -> list[dict[str, str]]:
    with open(directory / "metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["seed"]) == seed]


@pytest.mark.slow
@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_member_equals_its_lone_run(member: int, population: RunResult, tiny_fit: Fit, tmp_path: Path) -> None:
    seed = member + 1
    lone = tiny_fit(tmp_path / "run", f"seed={seed}", "precision=float64")
    assert lone.algorithm is not None and population.algorithm is not None
    together = population.algorithm.state_dict()
    for name, value in lone.algorithm.state_dict().items():
        torch.testing.assert_close(value[0], together[name][member], rtol=1e-9, atol=1e-9, msg=name)
    for alone, inside in zip(rows(lone.directory, seed), rows(population.directory, seed), strict=True):
        for name in alone:
            if name.endswith("seconds") or not alone[name]:
                assert bool(alone[name]) == bool(inside[name])
            elif name == "phase":
                assert alone[name] == inside[name]
            else:
                assert float(alone[name]) == pytest.approx(float(inside[name]), rel=1e-7, abs=1e-9), name


def test_a_loaded_policy_acts_as_the_member_does(population: RunResult) -> None:
    path = population.directory / "checkpoints" / "last.ckpt"
    assert population.algorithm is not None
    members, h, a = population.algorithm.members, 2, 2
    observations = np.random.default_rng(0).normal(size=(5, 2))
    together = PopulationActor(load_algorithm(read_checkpoint(path)), seeds=tuple(range(members)))
    expected = together(np.tile(observations, (members, 1, 1)))
    for member in range(members):
        policy = qam_torch.load_policy(path, member=member, noise_seed=member)
        chunks = policy(observations)
        assert chunks.shape == (5, h, a) and policy(observations[0]).shape == (h, a)
        np.testing.assert_allclose(chunks.reshape(5, -1), expected[member], rtol=1e-5, atol=1e-6)
        assert np.abs(chunks).max() <= 1
    assert not np.allclose(expected[0], expected[1])


def test_a_loaded_policy_keeps_the_type_it_was_trained_in(population: RunResult) -> None:
    policy = qam_torch.load_policy(population.directory / "checkpoints" / "last.ckpt", member=1)
    assert {parameter.dtype for parameter in policy.algorithm.parameters()} == {torch.float64}
    assert population.algorithm is not None
    trained = population.algorithm.state_dict()
    for name, value in policy.algorithm.state_dict().items():
        assert torch.equal(value, trained[name][1:2]), name


def test_a_loaded_policy_tells_a_wrong_observation(finished: RunResult) -> None:
    policy = qam_torch.load_policy(finished.directory / "checkpoints" / "best.ckpt")
    for shape in ((3,), (4, 3), (1, 1, 2), ()):
        with pytest.raises(QamError, match="expected \\(2,\\)"):
            policy(np.zeros(shape))
    assert policy.environment["env_name"] == "pointmaze-medium-navigate-v0"


@pytest.mark.parametrize("member", [-1, 3])
def test_a_member_that_is_not_there(member: int, population: RunResult) -> None:
    with pytest.raises(QamError, match=f"member={member} is not in the checkpoint: expected 0 to 2"):
        qam_torch.load_policy(population.directory / "checkpoints" / "last.ckpt", member=member)


def test_values_of_members_stay_with_them(tiny_fit: Fit, tmp_path: Path) -> None:
    result = tiny_fit(tmp_path / "run", "seeds=[1,2]", "algo.inv_temp=[0.5,3]", "offline_steps=10", "eval_episodes=1")
    policy = qam_torch.load_policy(result.directory / "checkpoints" / "last.ckpt", member=1)
    assert policy.algorithm.member_value("inv_temp") == 3


IMPORTS = {
    "import qam_torch": ("torch", "hydra", "lightning", "gymnasium"),
    "import qam_torch.flows": ("hydra", "lightning", "gymnasium", "ogbench", "mujoco"),
    "import qam_torch; qam_torch.load_policy({path!r})([0.0, 0.0])": ("hydra", "omegaconf", "gymnasium", "ogbench"),
}


@pytest.mark.parametrize("code", IMPORTS, ids=["package", "maths", "policy"])
@pytest.mark.slow
def test_nothing_is_imported_that_is_not_needed(code: str, finished: RunResult) -> None:
    path = str(finished.directory / "checkpoints" / "last.ckpt")
    check = f"import sys; print([name for name in {IMPORTS[code]!r} if name in sys.modules])"
    program = [sys.executable, "-c", f"{code.format(path=path)}; {check}"]
    done = subprocess.run(program, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_package_has_what_it_says(command: Command) -> None:
    assert set(qam_torch.__all__) <= set(dir(qam_torch))
    for name in qam_torch.__all__:
        assert getattr(qam_torch, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        qam_torch.nothing_like_it  # noqa: B018
