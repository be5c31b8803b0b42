"""Any registered environment, wrapped so that a policy's actions and a dataset's mean the same."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.spaces import Box, Dict, Discrete

from qam_torch.data.action_scaling import unit_actions
from qam_torch.envs.gymnasium_registry import GoalObservation, UnitAction, make_registered
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.types import QamError


class Remembers(gymnasium.Env):
    """Remembers the action it was given; its spaces are those it is made with."""

    def __init__(self, action_space: gymnasium.Space, observation_space: gymnasium.Space | None = None) -> None:
        self.action_space = action_space
        self.observation_space = observation_space or Box(-1, 1, (2,))
        self.given: Any = None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.given = action
        return self.observation_space.sample(), 0.0, False, False, {}


UNEVEN = Box(np.array([-2.0, 0.1], np.float32), np.array([2.0, 0.4], np.float32))
LIMIT = Box(-np.inf, np.inf, (1,))
gymnasium.register("qam_tests/Uneven-v0", Remembers, kwargs={"action_space": UNEVEN})


def test_actions_are_stretched_to_the_bounds_and_never_leave_them() -> None:
    environment = make_registered("qam_tests/Uneven-v0")
    environment.reset()
    assert environment.action_space == Box(-1, 1, (2,))
    for unit, expected in (([-1, -1], [-2, 0.1]), ([1, 1], [2, 0.4]), ([0.5, 0], [1, 0.25]), ([3, -3], [2, 0.1])):
        environment.step(np.array(unit, np.float32))
        given = environment.unwrapped.given
        np.testing.assert_allclose(given, expected, rtol=1e-6)
        assert given.dtype == np.float32 and UNEVEN.contains(given)


def test_a_recorded_action_scaled_for_training_is_the_action_given_back() -> None:
    environment = make_registered("qam_tests/Uneven-v0")
    environment.reset()
    recorded = np.stack([UNEVEN.sample() for _ in range(50)])
    for unit, action in zip(unit_actions(recorded, environment.low, environment.high, ""), recorded, strict=True):
        environment.step(unit)
        np.testing.assert_allclose(environment.unwrapped.given, action, rtol=1e-5, atol=1e-6)


def test_a_box_of_one_is_left_to_the_bit() -> None:
    wrapped = UnitAction(Remembers(Box(-1, 1, (3,))))
    action = np.array([1e-9, -0.3333333, 1.0], np.float32)
    assert wrapped.action(action).tobytes() == action.tobytes()


def test_a_name_a_module_and_a_specification() -> None:
    by_name = make_registered("Pendulum-v1")
    by_module = make_registered("gymnasium.envs.classic_control:Pendulum-v1")
    shorter = make_registered(gymnasium.spec("Pendulum-v1").to_json(), max_episode_steps=7)
    assert [e.get_wrapper_attr("_max_episode_steps") for e in (by_name, by_module, shorter)] == [200, 200, 7]


def test_it_can_be_made_in_a_worker_process() -> None:
    with EnvironmentPool(partial(make_registered, "Pendulum-v1", 5), 2, workers=1) as pool:
        assert (pool.action_low.tolist(), pool.action_high.tolist(), pool.max_episode_steps) == ([-1.0], [1.0], 5)
        pool.reset([0, 1])
        result = pool.step_chunk(np.zeros((2, 5, 1)))
    assert result.truncated.all() and not result.reported.any()


def test_a_goal_is_observed_after_the_observation() -> None:
    parts = {"desired_goal": Box(3, 4, (1,)), "achieved_goal": Box(5, 6, (1,)), "observation": Box(0, 1, (2,))}
    gymnasium.register(
        "qam_tests/Goal-v0", Remembers, kwargs={"action_space": UNEVEN, "observation_space": Dict(parts)}
    )
    environment = make_registered("qam_tests/Goal-v0")
    assert environment.observation_space == Box(np.array([0, 0, 3], np.float32), np.array([1, 1, 4], np.float32))
    observation, _ = environment.reset()
    assert environment.observation_space.contains(observation)
    wrapped = environment.env
    assert isinstance(wrapped, GoalObservation)
    given = {"observation": np.array([1.0, 2.0]), "achieved_goal": np.array([3.0]), "desired_goal": np.array([4.0])}
    assert wrapped.observation(given).tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("name", "spaces", "message"),
    [
        ("Discrete", {"action_space": Discrete(2)}, r"has actions Discrete\(2\), expected a Box of real numbers"),
        ("Whole", {"action_space": Box(0, 3, (2,), np.int64)}, "only continuous actions are supported"),
        ("Table", {"action_space": Box(0, 1, (2, 2))}, "expected a Box of real numbers with one axis"),
        ("Unbounded", {"action_space": LIMIT}, "actions without finite bounds"),
        (
            "Fixed",
            {"action_space": Box(np.array([-1, 0], np.float32), np.array([1, 0], np.float32))},
            "bounds 0 and 0 in dimension 1 of its actions, which allow a single value",
        ),
        ("Image", {"action_space": UNEVEN, "observation_space": Box(0, 255, (8, 8, 3), np.uint8)}, "flattens them"),
        ("Nested", {"action_space": UNEVEN, "observation_space": Dict({"observation": LIMIT})}, "flattens them"),
    ],
)
def test_other_spaces_are_refused(name: str, spaces: dict[str, Any], message: str) -> None:
    gymnasium.register(f"qam_tests/{name}-v0", Remembers, kwargs=spaces)
    with pytest.raises(QamError, match=message) as error:
        make_registered(f"qam_tests/{name}-v0")
    assert f"'qam_tests/{name}-v0'" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["Pendulm-v1", "Pendulum-v99", "no_such_module:Pendulum-v1", "three words here", ""])
def test_an_environment_that_is_not_registered(name: str) -> None:
    with pytest.raises(QamError, match=f"environment '{name}' cannot be made .* package.module:Name-v0"):
        make_registered(name)


class Broken(gymnasium.Env):
    """Does not even start."""

    def __init__(self) -> None:
        raise RuntimeError("no license")


gymnasium.register("qam_tests/Broken-v0", Broken)


def wrapped(entry_point: str) -> str:
    wrapper = WrapperSpec(name="w", entry_point=entry_point, kwargs={})
    return replace(gymnasium.spec("Pendulum-v1"), additional_wrappers=(wrapper,)).to_json()


def test_a_strangers_specification_runs_nothing_else(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    arguments = {"args": ["touch", str(marker)]}
    specs = [
        EnvSpec(id="Stranger-v0", entry_point="subprocess:call", kwargs=arguments).to_json(),
        EnvSpec(id="Pendulum-v1", entry_point="subprocess:call", kwargs=arguments).to_json(),
    ]
    for spec in specs:
        with pytest.raises(
            QamError, match="names the entry point subprocess:call, which is not registered under this name"
        ):
            make_registered(spec)
    with pytest.raises(QamError, match="the wrapper os:_exit, which is not part of Gymnasium"):
        make_registered(wrapped("os:_exit"))
    assert not marker.exists()
    make_registered(gymnasium.spec("Pendulum-v1").to_json()).close()


@pytest.mark.parametrize("spec", ["qam_tests/Broken-v0", "a:b:c", ".x:Foo-v0", "{", '{"id": 1}'])
def test_whatever_goes_wrong_in_making_it_is_one_sentence(spec: str) -> None:
    with pytest.raises(QamError, match="cannot be made"):
        make_registered(spec)
