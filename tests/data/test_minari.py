"""Minari's episodes as transitions, against episodes written down here."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict

from qam_torch.config.composition import compose
from qam_torch.data.minari import dataset_hash, environment_spec, minari_transitions, open_minari
from qam_torch.data.transitions import ACTION_LIMIT
from qam_torch.suites.minari import Minari
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError

minari = pytest.importorskip("minari")

LOW, HIGH = np.array([-2.0]), np.array([2.0])
VECTOR, ACTION = Box(-100, 100, (2,), np.float32), Box(-2, 2, (1,), np.float32)


class Vector(gymnasium.Env):
    """An environment of the spaces of these datasets."""

    observation_space, action_space = VECTOR, ACTION


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def states(first: int, count: int) -> list[np.ndarray]:
    return [np.array([first + i, -i], np.float32) for i in range(count)]


def episode(observations: Any, terminated: bool, truncated: bool, steps: int, **changes: Any) -> Any:
    """An episode whose last step has these flags; action i is i / 2, reward i is 10 i."""
    flags = [False] * (steps - 1)
    parts: dict[str, Any] = {
        "observations": observations,
        "actions": [np.array([i / 2], np.float32) for i in range(steps)],
        "rewards": [10.0 * i for i in range(steps)],
        "terminations": [*flags, terminated],
        "truncations": [*flags, truncated],
        "infos": {"x": {"p": [np.zeros(2)] * (steps + 1)}, "n": list(range(steps + 1))},
        **changes,
    }
    return minari.data_collector.EpisodeBuffer(**parts)


def dataset(name: str, *episodes: Any, space: gymnasium.Space = VECTOR, **options: Any) -> Any:
    if "env" not in options:
        options |= {"observation_space": space, "action_space": ACTION}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it names no author
        minari.create_dataset_from_buffers(name, list(episodes), **options)
    return open_minari(name, download=False)


def three() -> list[Any]:
    """Terminated after three steps, truncated after two, and abandoned after two."""
    lengths = ((0, 3, True, False), (10, 2, False, True), (20, 2, False, False))
    return [episode(states(first, steps + 1), *flags, steps) for first, steps, *flags in lengths]


def test_every_step_is_a_transition_and_every_state_is_stored_once() -> None:
    data = minari_transitions(dataset("test/three-v0", *three()), LOW, HIGH)
    assert data.states[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 20, 21, 22]
    assert data.states[data.state_rows, 0].tolist() == [0, 1, 2, 10, 11, 20, 21]
    assert data.states[data.next_rows, 0].tolist() == [1, 2, 3, 11, 12, 21, 22]
    assert data.rewards.tolist() == [0, 10, 20, 0, 10, 0, 10]
    assert data.masks.tolist() == [1, 1, 0, 1, 1, 1, 1]
    assert data.terminals.tolist() == [False, False, True, False, True, False, True]
    np.testing.assert_allclose(data.actions[:, 0], [0, 0.25, 0.5, 0, 0.25, 0, 0.25])
    assert float(data.actions.max()) < ACTION_LIMIT


def test_a_flag_inside_an_episode_ends_it_there() -> None:
    inside = episode(states(0, 4), False, False, 3, truncations=[False, True, False])
    data = minari_transitions(dataset("test/inside-v0", inside), LOW, HIGH)
    assert data.terminals.tolist() == [False, True, True] and data.masks.tolist() == [1, 1, 1]


def test_goal_conditioned_observations_are_the_observation_and_the_desired_goal() -> None:
    space = Dict({"desired_goal": ACTION, "achieved_goal": ACTION, "observation": VECTOR})
    goals = {"desired_goal": [np.array([0.5], np.float32)] * 3, "achieved_goal": [np.array([0.1], np.float32)] * 3}
    given = episode({"observation": states(0, 3), **goals}, True, False, 2)
    data = minari_transitions(dataset("test/goal-v0", given, space=space), LOW, HIGH)
    assert data.states.tolist() == [[0, 0, 0.5], [1, -1, 0.5], [2, -2, 0.5]]


def test_what_cannot_be_trained_on_is_reported() -> None:
    short = dataset("test/short-v0", episode(states(0, 3), True, False, 3))
    with pytest.raises(QamError, match=r"'test/short-v0': episode 0 has 3 observations of 3 steps, expected 4"):
        minari_transitions(short, LOW, HIGH)
    images = [np.zeros((4, 4, 3), np.uint8)] * 3
    pictures = dataset("test/pictures-v0", episode(images, True, False, 2), space=Box(0, 255, (4, 4, 3), np.uint8))
    with pytest.raises(QamError, match="images and nested dictionaries are not supported"):
        minari_transitions(pictures, LOW, HIGH)
    other = dataset("test/other-v0", episode({"one": states(0, 3)}, True, False, 2), space=Dict({"one": VECTOR}))
    with pytest.raises(QamError, match="are not supported"):
        minari_transitions(other, LOW, HIGH)
    broken = dataset("test/broken-v0", episode([np.full(2, np.nan, np.float32)] * 3, True, False, 2))
    with pytest.raises(QamError, match="'test/broken-v0': 'observations' has NaN"):
        minari_transitions(broken, LOW, HIGH)
    with pytest.raises(QamError, match="'test/three-v0': 'actions' exceeds the environment's bounds, first in row 2"):
        minari_transitions(dataset("test/three-v0", *three()), LOW, HIGH / 3)
    with pytest.raises(QamError, match="has no episodes"):
        minari_transitions(dataset("test/none-v0"), LOW, HIGH)


def test_the_environment_is_the_one_for_evaluation_where_there_is_one() -> None:
    given = [episode([np.zeros(3, np.float32)] * 3, False, True, 2)]
    recorded = dataset("test/recorded-v0", *given, env="Pendulum-v1")
    assert json.loads(environment_spec(recorded))["max_episode_steps"] == 200
    shorter = gymnasium.make("Pendulum-v1", max_episode_steps=50).spec
    evaluated = dataset("test/evaluated-v0", *given, env="Pendulum-v1", eval_env=shorter)
    assert json.loads(environment_spec(evaluated))["max_episode_steps"] == 50


def test_the_hash_is_that_of_the_content() -> None:
    first = dataset("test/three-v0", *three())
    again = open_minari("test/three-v0", download=False)
    fewer = dataset("test/fewer-v0", *three()[:2])
    assert dataset_hash(first) == dataset_hash(again) != dataset_hash(fewer)


@pytest.mark.parametrize("name", ["test/nothing-v0", "../nothing-v0", "no version", ""])
def test_a_dataset_that_is_not_there(name: str) -> None:
    with pytest.raises(QamError, match="cannot be read or fetched .* run `minari download"):
        open_minari(name, download=False)


def test_a_damaged_dataset(directory: Path) -> None:
    dataset("test/three-v0", *three())
    (file,) = directory.rglob("*.hdf5")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(QamError, match="'test/three-v0' is damaged .*: delete it and"):
        minari_transitions(open_minari("test/three-v0", download=False), LOW, HIGH)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(QamError, match=r"require the minari package: pip install 'minari\[hdf5,hf\]>="):
        open_minari("test/three-v0")


def test_a_dataset_that_names_no_environment_takes_one(tmp_path: Path) -> None:
    """`environment_spec` names the key, which the suite accepts and gives to the environment and its checkpoints."""
    anonymous = dataset("test/anonymous-v0", *three())
    with pytest.raises(QamError, match="does not name an environment: .* with env_id=..., e.g. env_id=Pendulum-v1"):
        environment_spec(anonymous)
    gymnasium.register("qam_tests/Vector-v0", Vector)
    config = compose(["env=minari", "dataset=test/anonymous-v0", "env_id=qam_tests/Vector-v0"])
    request = read_settings(config).request
    Minari().check(request)
    found = Minari().load(request, torch.device("cpu"), torch.float32)
    assert (found.environment["env_name"], found.environment["env_spec"]) == ("qam_tests/Vector-v0",) * 2
    assert config.run_dir.endswith("/minari-test_anonymous-v0_qam_tests_Vector-v0/qam/seed0")
    request.env["env_id"] = 3  # type: ignore[index]
    with pytest.raises(QamError, match="env_id=3 is out of range: expected a registered name"):
        Minari().check(request)
