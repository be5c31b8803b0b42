"""Chunks, workers, randomness and failures of the environment pool."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.random.mtrand import get_bit_generator

from qam_torch.envs.ogbench import make_environment
from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.types import QamError

# Workers import it by name, so it is a module of its own. An episode of seed s has 3 + s % 5 steps; the observation is
# (steps so far, a number of numpy's global generator); the reward is the action; the last step of even seeds succeeds.
TOY = """
import gymnasium, numpy as np

class Toy(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    made = 0
    def __init__(self, trouble=None):
        Toy.made += 1
        if trouble == "third" and Toy.made == 3:
            raise OSError("no license")
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        self.trouble = trouble
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.last, self.success = 0, 3 + seed % 5, seed % 2 == 0
        np.random.randn()
        return np.array([0.0, np.random.rand()]), {}
    def step(self, action):
        self.t += 1
        if self.t == 2 and self.trouble == "raise":
            raise RuntimeError("the gripper fell off")
        if self.t == 2 and self.trouble == "print":
            print("noise on standard output", flush=True)
        number = np.nan if self.t == 2 and self.trouble == "nan" else np.random.rand()
        number = np.random.randn() if self.trouble == "gauss" else number
        reward = -np.inf if self.t == 2 and self.trouble == "inf" else float(action[0])
        reward = {"array": np.array([reward]), "pair": np.zeros(2)}.get(self.trouble, reward)
        done = self.t == self.last
        info = {"success": float(done and self.success)}
        return np.array([self.t, number]), reward, done, False, info

def make(trouble=None):
    return gymnasium.wrappers.TimeLimit(Toy(trouble), 6)
"""

Make = Callable[..., gymnasium.Env]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    (tmp_path / "toy_environment.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toy_environment  # type: ignore[import-not-found]

    yield toy_environment.make
    del sys.modules["toy_environment"]


def episodes(pool: EnvironmentPool, seeds: list[int], h: int, chunks: int) -> list[np.ndarray]:
    """All that a few chunks of the same random actions give."""
    actions = np.random.default_rng(0).uniform(-1, 1, (chunks, pool.count, h, pool.action_dim))
    seen, active = [pool.reset(seeds)], np.ones(pool.count, bool)
    for chunk in actions:
        result = pool.step_chunk(chunk, active)
        active &= ~(result.terminated | result.truncated)
        seen += [np.asarray(field) for field in result[:6]]
    return seen


def equal(one: list[np.ndarray], two: list[np.ndarray]) -> bool:
    return len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("seeds", [[7, 8, 9, 11, 12]])
def test_workers_do_not_change_episodes(make: Make, seeds: list[int]) -> None:
    runs = []
    for workers in (0, 2):
        with EnvironmentPool(make, len(seeds), workers) as pool:
            runs.append(episodes(pool, seeds, h=2, chunks=3))
    assert equal(*runs)


@pytest.mark.slow
def test_workers_do_not_change_maze_episodes() -> None:
    runs = []
    for workers in (0, 2):
        with EnvironmentPool(partial(make_environment, "pointmaze-teleport-navigate-v0", task=1), 3, workers) as pool:
            runs.append(episodes(pool, [1, 2, 3], h=5, chunks=8))
    assert equal(*runs)
    assert not np.array_equal(runs[0][0][0], runs[0][0][1]), "episodes of different seeds start differently"


@pytest.mark.slow
def test_an_episode_does_not_depend_on_neighbors_or_earlier_episodes() -> None:
    make_cube = partial(make_environment, "cube-single-play-v0", task=1)
    with EnvironmentPool(make_cube, 2) as pool:
        episodes(pool, [5, 6], h=5, chunks=2)
        pool.reset([5, 3])
        chunk = np.full((2, 5, 5), 0.3)
        together = pool.step_chunk(chunk).observations[1]
        pool.reset([0, 3], np.array([False, True]))
        alone = pool.step_chunk(chunk, np.array([False, True])).observations[1]
    assert together.shape == (28,) and np.array_equal(together, alone)


def test_an_episode_does_not_depend_on_how_it_is_cut_into_chunks(make: Make) -> None:
    """Though numpy draws Gaussians in pairs, of which it keeps one in reserve."""
    seen = []
    for lengths in ([4], [1, 2, 1], [1, 1, 1, 1]):
        with EnvironmentPool(partial(make, "gauss"), 1) as pool:
            pool.reset([12])
            for h in lengths:
                result = pool.step_chunk(np.zeros((1, h, 1)))
            seen.append(result.observations.tolist())
    assert seen[0] == seen[1] == seen[2]


def test_the_callers_numpy_generator_is_untouched(make: Make) -> None:
    np.random.seed(3)
    expected = [np.random.randn() for _ in range(4)]
    np.random.seed(3)
    got = [np.random.randn()]  # numpy now holds the second Gaussian of a pair in reserve
    generator = get_bit_generator()
    with EnvironmentPool(make, 2) as pool:
        got.append(np.random.randn())
        episodes(pool, [1, 2], h=2, chunks=1)
        got.append(np.random.randn())
        pool.reset([4, 5])
    got.append(np.random.randn())
    assert got == expected and get_bit_generator() is generator


def test_a_chunk_ends_with_its_episode(make: Make) -> None:
    with EnvironmentPool(make, 3) as pool:
        start = pool.reset([10, 11, 14])  # 3 steps and success, 4 steps, 7 steps cut at 6
        actions = np.array([[1.0, 0.5, 0.25, -1, -1, -1, -1]] * 3)[..., None]
        first = pool.step_chunk(actions[:, :2])
        assert first.steps.tolist() == [2, 2, 2] and not (first.terminated | first.truncated).any()
        result = pool.step_chunk(actions[:, 2:])
        assert result.steps.tolist() == [1, 2, 4]
        assert result.rewards.tolist() == [0.25, -0.75, -2.75]
        assert result.success.tolist() == [True, False, False]
        assert result.terminated.tolist() == [True, True, False]
        assert result.truncated.tolist() == [False, False, True]
        assert start.dtype == result.observations.dtype == np.float32
        assert result.observations[:, 0].tolist() == [3, 4, 6]


def test_inactive_environments_are_neither_stepped_nor_reset(make: Make) -> None:
    with EnvironmentPool(make, 3, workers=2) as pool:
        start = pool.reset([10, 11, 12])
        result = pool.step_chunk(np.ones((3, 2, 1)), np.array([True, False, True]))
        assert result.steps.tolist() == [2, 0, 2] and result.rewards.tolist() == [2, 0, 2]
        assert np.array_equal(result.observations[1], start[1])
        again = pool.reset([10, 99, 99], np.array([True, False, False]))
        assert np.array_equal(again[0], start[0]) and np.array_equal(again[1:], result.observations[1:])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_physics_is_each_environments_own_state(make: Make, workers: int) -> None:
    with EnvironmentPool(partial(make_environment, "pointmaze-medium-navigate-v0", task=1), 3, workers) as pool:
        start = pool.reset([1, 2, 3])
        before = pool.physics()
        end = pool.step_chunk(np.ones((3, 4, 2)), np.array([True, False, True])).observations
        after = pool.physics()
    for row, moves in enumerate((True, False, True)):
        assert before[row].keys() == {"time", "qpos", "qvel", "act"}
        assert np.array_equal(before[row]["qpos"].astype(np.float32), start[row])
        assert np.array_equal(after[row]["qpos"].astype(np.float32), end[row])
        for name in ("time", "qpos", "qvel"):
            assert np.array_equal(before[row][name], after[row][name]) is not moves, "a copy, which does not follow"
    with EnvironmentPool(make, 3, workers) as pool:
        assert pool.physics() == [{}, {}, {}], "nothing is known of it"


@pytest.mark.slow
def test_physics_knows_the_buttons() -> None:
    with EnvironmentPool(partial(make_environment, "puzzle-3x3-play-v0", task=1), 1) as pool:
        pool.reset([1])
        (state,) = pool.physics()
        assert state["buttons"].shape == (9,) and {"time", "qpos", "qvel"} < state.keys()


def test_positions_are_the_start_and_every_step() -> None:
    with EnvironmentPool(partial(make_environment, "pointmaze-medium-navigate-v0", task=1), 2) as pool:
        start = pool.reset([0, 1])
        active = np.array([True, False])
        pieces = [pool.step_chunk(np.ones((2, 3, 2)), active, ("positions",)).positions for _ in range(2)]
        assert pieces[0] is not None and pieces[1] is not None
        assert [p.shape for p in (pieces[0][0], pieces[1][0]) if p is not None] == [(4, 2), (3, 2)]
        assert pieces[0][1] is None
        np.testing.assert_allclose(np.asarray(pieces[0][0])[0], start[0], rtol=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("raise", "the gripper fell off"),
        ("nan", "non-finite observation"),
        ("inf", "non-finite reward"),
        ("pair", "returned the reward array.*expected one number"),
    ],
)
def test_failures_come_back_as_one_sentence_and_close_the_pool(
    make: Make, workers: int, trouble: str, message: str
) -> None:
    with EnvironmentPool(partial(make, trouble), 2, workers) as pool:
        pool.reset([1, 2])
        with pytest.raises(QamError, match=f"environment 1 .*{message}"):
            pool.step_chunk(np.zeros((2, 2, 1)), np.array([False, True]))
        assert_ended(pool)
        with pytest.raises(QamError, match="closed"):
            pool.reset([1, 2])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pool_that_has_grown_is_like_one_that_was_made_so(make: Make, workers: int) -> None:
    seeds = [5, 2, 8, 3, 4]
    with EnvironmentPool(make, 5, workers) as pool:
        expected = episodes(pool, seeds, 2, 3)
    with EnvironmentPool(make, 3, workers) as pool:
        pool.try_out()
        pool.grow(5)
        assert equal(episodes(pool, seeds, 2, 3), expected)


class Heavy(gymnasium.Env):
    """Keeps 32 MB, and leaves 64 MB of garbage that only a collection frees."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self) -> None:
        self.kept = np.ones(4 << 20)
        garbage: list[Any] = [np.ones(8 << 20)]
        garbage.append(garbage)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        return np.zeros(2), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(2), 0.0, False, False, {}


@pytest.mark.parametrize("frozen", [False, True])
def test_trying_measures_the_memory_of_an_environment_without_its_garbage(frozen: bool) -> None:
    """Whether the application has frozen objects or not."""
    gc.unfreeze()
    if frozen:
        gc.freeze()
    with EnvironmentPool(Heavy, 3, workers=0) as pool:
        pool.try_out()
        assert 30 << 20 < pool.environment_bytes < 40 << 20
    assert bool(gc.get_freeze_count()) == frozen
    gc.freeze()  # as before the test, see `few_objects_to_collect`


def test_trying_shows_what_is_wrong(make: Make) -> None:
    with EnvironmentPool(partial(make, "pair"), 1) as pool, pytest.raises(QamError, match="returned the reward array"):
        pool.try_out()


def test_an_array_of_one_number_is_a_reward(make: Make) -> None:
    with EnvironmentPool(partial(make, "array"), 1) as pool:
        pool.reset([1])
        assert pool.step_chunk(np.full((1, 3, 1), 0.5)).rewards.tolist() == [1.5]


def test_what_an_environment_prints_does_not_disturb_the_pipe(make: Make) -> None:
    with EnvironmentPool(partial(make, "print"), 1, workers=1) as pool:
        pool.reset([1])
        assert pool.step_chunk(np.zeros((1, 3, 1))).steps.tolist() == [3]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_environment_that_cannot_be_made_is_reported(workers: int) -> None:
    with pytest.raises(EnvironmentFailure, match="nearest known dataset names"):
        EnvironmentPool(partial(make_environment, "cube-tripel-play-v0", task=1), 2, workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_environments_are_closed_if_a_later_one_cannot_be_made(make: Make, workers: int) -> None:
    import toy_environment

    closed = []
    toy_environment.Toy.close = lambda self: closed.append(self)
    with pytest.raises(QamError, match=r"^environment 2 cannot be made \(OSError: no license\)$"):
        EnvironmentPool(partial(make, "third"), 3, workers)
    assert len(closed) == 2 * (workers == 0), "the worker has its own class"


def test_vector_spaces_are_required() -> None:
    with pytest.raises(QamError, match="actions are Discrete"):
        EnvironmentPool(partial(gymnasium.make, "CartPole-v1"), 1)


def test_a_factory_that_cannot_be_sent_is_reported(make: Make) -> None:
    with pytest.raises(EnvironmentFailure, match="importable module"):
        EnvironmentPool(lambda: make(), 1, workers=1)


def test_a_killed_worker_is_reported(make: Make) -> None:
    with EnvironmentPool(make, 2, workers=2) as pool:
        pool.reset([1, 2])
        os.kill(pids(pool)[1], signal.SIGKILL)
        with pytest.raises(QamError, match="worker process .* ended with status -9"):
            pool.step_chunk(np.zeros((2, 2, 1)))
        assert_ended(pool)


def test_an_interrupt_while_waiting_ends_the_workers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> Any:
        raise KeyboardInterrupt

    with EnvironmentPool(make, 2, workers=2) as pool:
        monkeypatch.setattr(pool._hosts[1], "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.reset([1, 2])
        assert_ended(pool)


def test_leaving_the_block_and_forgetting_the_pool_end_the_workers(make: Make) -> None:
    with contextlib.suppress(KeyError), EnvironmentPool(make, 1, workers=3) as pool:
        assert pool.workers == 1, "more workers than environments"
        raise KeyError
    assert_ended(pool)
    forgotten = EnvironmentPool(make, 1, workers=1)
    hosts = list(forgotten._hosts)
    del forgotten
    assert all(host._worker._process.poll() is not None for host in hosts)  # type: ignore[attr-defined]


def test_wrong_arguments_are_reported(make: Make) -> None:
    with EnvironmentPool(make, 2) as pool:
        with pytest.raises(QamError, match="seeds"):
            pool.reset([1])
        pool.reset([1, 2])
        with pytest.raises(QamError, match=r"\(2, chunk length, 1\)"):
            pool.step_chunk(np.zeros((2, 3, 4)))
        with pytest.raises(QamError, match="non-finite actions"):
            pool.step_chunk(np.full((2, 1, 1), np.nan))
        with pytest.raises(QamError, match="positions, frames"):
            pool.step_chunk(np.zeros((2, 1, 1)), record=("sounds",))
        with pytest.raises(QamError, match="no position"):
            pool.step_chunk(np.zeros((2, 1, 1)), record=("positions",))


def test_workers_need_no_torch() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import qam_torch.envs.host, qam_torch.envs.ogbench; "
        "print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def pids(pool: EnvironmentPool) -> list[int]:
    return [host.pid for host in pool._hosts]  # type: ignore[attr-defined]


def assert_ended(pool: EnvironmentPool) -> None:
    for host in pool._hosts:
        worker = getattr(host, "_worker", None)
        assert worker is None or worker._process.poll() is not None
