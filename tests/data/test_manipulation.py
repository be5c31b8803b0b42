"""OGBench's recipes for the arm: what the oracles achieve, and that an episode depends on its numbers alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from qam_torch.data.generation import manipulation
from qam_torch.data.generation.episode_files import Episode
from qam_torch.data.generation.manipulation import ManipulationEpisode, Stage, block_is_visible, stage

ENVIRONMENTS = ("cube-double-v0", "scene-v0", "puzzle-3x3-v0")


def assert_same(left: Episode, right: Episode) -> None:
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.slow
def test_an_episode_does_not_know_those_before_it(environment: str) -> None:
    make = ManipulationEpisode(environment, "noisy")
    stage.cache_clear()
    alone = make(seed=0, index=2, rows=300)  # one whose oracles in the scene see old targets
    make(seed=0, index=0, rows=300)
    assert_same(alone, make(seed=0, index=2, rows=300))
    assert not np.array_equal(alone["actions"][:2], make(seed=1, index=2, rows=2)["actions"])


@pytest.mark.slow
def test_a_stage_puts_back_all_that_episodes_change_in_the_model() -> None:
    here = stage("scene-v0", "noisy")
    here.reset(0)
    model, new = here.world.model, copy.copy(here.world.model)
    arrays = [name for name in dir(new) if isinstance(getattr(new, name, None), np.ndarray)]
    ManipulationEpisode("scene-v0", "noisy")(seed=0, index=3, rows=300)
    changed = [name for name in arrays if not np.array_equal(getattr(new, name), getattr(model, name))]
    assert "site_pos" in changed and set(changed) <= set(Stage.MODEL_ARRAYS)
    here.reset(0)
    for name in changed:
        np.testing.assert_array_equal(getattr(new, name), getattr(model, name))


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_episode_records_the_state_before_each_step(environment: str) -> None:
    """Its observations are made of its qpos, qvel and button states, and its first ones follow from a new reset."""
    episode = ManipulationEpisode(environment, "play")(seed=0, index=0, rows=60)
    observations, qpos, qvel = episode["observations"], episode["qpos"], episode["qvel"]
    assert ("button_states" in episode) == (not environment.startswith("cube"))
    assert {key: array.dtype for key, array in episode.items() if key not in ("terminals", "button_states")} == {
        key: np.dtype(np.float32) for key in ("observations", "actions", "qpos", "qvel")
    }
    assert np.flatnonzero(episode["terminals"]).tolist() == [59]
    assert np.abs(episode["actions"]).max() <= 1.0
    np.testing.assert_array_equal(observations[:, :6], qpos[:, :6])
    np.testing.assert_array_equal(observations[:, 6:12], qvel[:, :6])
    if environment.startswith("puzzle"):
        first = observations[:, 19:].reshape(60, -1, 4)[:, :, :2]  # each button: its state one-hot, position, velocity
        np.testing.assert_array_equal(first.argmax(axis=-1), episode["button_states"])
    else:
        np.testing.assert_allclose(observations[:, 19:22], 10 * (qpos[:, 14:17] - [0.425, 0, 0]), atol=1e-5)


@pytest.mark.slow
def test_the_recorded_actions_lead_to_the_recorded_states() -> None:
    episode = ManipulationEpisode("cube-double-v0", "play")(seed=3, index=0, rows=60)
    world = manipulation.stage("cube-double-v0", "play").world
    world.set_state(episode["qpos"][20].astype(float), episode["qvel"][20].astype(float))
    for t in range(20, 24):
        observation = world.step(episode["actions"][t])[0]
        np.testing.assert_allclose(observation[:6], episode["observations"][t + 1, :6], atol=5e-3)


@pytest.mark.slow
def test_the_arm_moves_cubes() -> None:
    episode = ManipulationEpisode("cube-single-v0", "play")(seed=0, index=0, rows=500)
    block = episode["qpos"][:, 14:17]
    assert block[:, 2].max() > 0.08  # lifted
    assert np.linalg.norm(block[-1] - block[0]) > 0.05


@pytest.mark.slow
def test_the_arm_presses_buttons() -> None:
    states = ManipulationEpisode("puzzle-3x3-v0", "play")(seed=0, index=0, rows=300)["button_states"]
    flips = np.abs(np.diff(states, axis=0)).sum(axis=1)
    assert (flips > 0).sum() >= 3
    assert set(flips[flips > 0]) <= {3, 4, 5}  # a button and its neighbors


@pytest.mark.slow
def test_the_arm_uses_everything_in_the_scene() -> None:
    episodes = [ManipulationEpisode("scene-v0", "play")(seed=0, index=index, rows=300) for index in range(3)]
    assert any(np.ptp(episode["button_states"], axis=0).any() for episode in episodes)
    moved = np.max([np.ptp(episode["qpos"][:, [14, 23, 24]], axis=0) for episode in episodes], axis=0)
    assert (moved > 0.1).all(), moved  # block, drawer, window


def spied(monkeypatch: pytest.MonkeyPatch, here: Stage) -> list[np.ndarray]:
    """The list that the answers of the stage's oracles will be appended to."""
    answers: list[np.ndarray] = []
    for oracle in here.oracles.values():
        original = oracle.select_action

        def spy(observation: np.ndarray, info: Any, original: Any = original) -> np.ndarray:
            answers.append(original(observation, info))
            return answers[-1]

        monkeypatch.setattr(oracle, "select_action", spy)
    return answers


@pytest.mark.slow
def test_play_follows_the_oracle_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = spied(monkeypatch, stage("puzzle-3x3-v0", "play"))
    actions = ManipulationEpisode("puzzle-3x3-v0", "play")(seed=0, index=0, rows=100)["actions"]
    np.testing.assert_array_equal(actions, np.array(answers, np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "share"), [("cube-double-v0", 0.1), ("scene-v0", 0.1), ("puzzle-3x3-v0", 0.2)])
def test_noisy_replaces_a_share_of_the_oracles_actions(
    monkeypatch: pytest.MonkeyPatch, environment: str, share: float
) -> None:
    answers = spied(monkeypatch, stage(environment, "noisy"))
    ManipulationEpisode(environment, "noisy")(seed=0, index=0, rows=250)
    assert abs(1 - len(answers) / 250 - share) < 0.05


@pytest.mark.slow
def test_noisy_disturbs_the_rest_with_one_strength_for_each_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manipulation, "_RANDOM_ACTIONS", {"puzzle": 0.0})
    answers = spied(monkeypatch, stage("puzzle-3x3-v0", "noisy"))
    strengths = []
    for index in range(3):
        answers.clear()
        actions = ManipulationEpisode("puzzle-3x3-v0", "noisy")(seed=0, index=index, rows=150)["actions"]
        noise = actions - np.array(answers)
        inside = np.abs(answers) < 0.6
        spread = [noise[inside[:, i], i].std() for i in range(4)]
        assert 2.0 < spread[3] / np.mean(spread[:3]) < 4.0
        strengths.append(np.mean(spread[:3]))
    assert 0 < min(strengths) < 0.7 * max(strengths) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "least", "most"),
    [("cube-single-v0", 0.0, 0.0), ("cube-triple-v0", 0.05, 0.35), ("scene-v0", 0.5, 0.5)],
)
def test_cubes_are_stacked_as_often_as_ogbench_does(
    monkeypatch: pytest.MonkeyPatch, environment: str, least: float, most: float
) -> None:
    world = stage(environment, "play").world
    original, asked = world.set_new_target, []

    def spy(return_info: bool = True, p_stack: float | None = None) -> Any:
        if p_stack is None:  # the one of a reset
            return original(return_info=return_info)
        asked.append(p_stack)
        return original(return_info=return_info, p_stack=p_stack)

    world.set_new_target = spy
    try:
        ManipulationEpisode(environment, "play")(seed=0, index=0, rows=250)
    finally:
        del world.set_new_target
    assert asked and len(set(asked)) == 1
    assert least <= asked[0] <= most


@pytest.mark.slow
def test_oracles_have_ogbenchs_options() -> None:
    plan = stage("scene-v0", "play").oracles
    assert {name: type(oracle).__name__ for name, oracle in plan.items()} == {
        name: f"{name.title()}PlanOracle" for name in ("cube", "button", "drawer", "window")
    }
    assert {(oracle._noise, oracle._noise_smoothing) for oracle in plan.values()} == {(0.1, 0.5)}
    assert not plan["button"]._gripper_always_closed
    markov = stage("puzzle-3x3-v0", "noisy").oracles
    assert {name: type(oracle).__name__ for name, oracle in markov.items()} == {"button": "ButtonMarkovOracle"}
    assert (markov["button"]._min_norm, markov["button"]._gripper_always_closed) == (0.4, True)


@pytest.mark.slow
def test_scene_episodes_that_lose_the_block_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make = ManipulationEpisode("scene-v0", "play")
    kept = make(seed=0, index=0, rows=40)
    answers = iter([True] * 30 + [False])
    monkeypatch.setattr(manipulation, "block_is_visible", lambda qpos: next(answers, True))
    again = make(seed=0, index=0, rows=40)
    assert len(again["actions"]) == 40
    assert not np.array_equal(kept["qpos"][0], again["qpos"][0])
    answers = iter([True] * 30 + [False])
    assert_same(again, make(seed=0, index=0, rows=40))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "z", "visible"),
    [
        (0.0, 0.02, True),
        (0.29, 0.3, False),
        (0.28, 0.02, True),
        (-0.3, 0.02, False),
        (-0.3, 0.07, True),
        (-0.3, 0.09, False),
        (-0.29, 0.02, True),
    ],
)
def test_where_a_block_is_visible(y: float, z: float, visible: bool) -> None:
    qpos = np.zeros(25)
    qpos[14:17] = 0.4, y, z
    assert block_is_visible(qpos) is visible
