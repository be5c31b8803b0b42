"""The success interval against known values, and evaluations of episodes that can be counted by hand."""

from functools import partial

import gymnasium
import numpy as np
import pytest

from qam_torch.envs.maze import maze_layout
from qam_torch.envs.ogbench import make_environment
from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.envs.step_metrics import Step
from qam_torch.rollout.evaluation import Evaluation, episode_seeds, evaluate
from qam_torch.stats.success import wilson_interval
from qam_torch.types import QamError


class Countdown(gymnasium.Env):
    """Observation (n,) counts down from 3 + seed % 6; an action above 1/2 in its last step succeeds."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))

    def __init__(self) -> None:
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        assert seed is not None
        self.left = 3 + seed % 6
        return np.array([self.left], np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.left > 0, "stepped after its end"
        self.left -= 1
        success = self.left == 0 and bool(action[0] > 0.5)
        return np.array([self.left], np.float32), float(action[0]), self.left == 0, False, {"success": success}


def countdown(limit: int = 100) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(Countdown(), limit)


def test_episode_seeds_do_not_depend_on_their_number() -> None:
    assert episode_seeds(3, 20)[:5].tolist() == episode_seeds(3, 5).tolist()
    assert len(set(episode_seeds(3, 200).tolist())) == 200
    assert not set(episode_seeds(3, 20)) & set(episode_seeds(4, 20))


@pytest.mark.parametrize("chunked", [True, False])
def test_counted_episodes(chunked: bool) -> None:
    members, episodes, h = 2, 6, 4
    lengths = 3 + episode_seeds(9, episodes) % 6
    shapes = []

    def act(observations: np.ndarray) -> np.ndarray:
        shapes.append(observations.shape)
        # Member 0 answers 7, clipped to 1; member 1 answers 0.25, and never succeeds.
        return np.broadcast_to(np.array([7.0, 0.25])[:, None, None], (members, episodes, h if chunked else 1))

    with EnvironmentPool(countdown, members * episodes + 1) as pool:
        first = evaluate(act, pool, members, episodes, h, 1, seed=9)
        calls = len(shapes)
        second = evaluate(act, pool, members, episodes, h, 1, seed=9)
    assert set(shapes) == {(members, episodes, 1)}
    assert calls == (-(-lengths.max() // h) if chunked else lengths.max()), "one call a chunk for everyone"
    assert first.lengths.tolist() == [lengths.tolist()] * 2
    assert first.returns.tolist() == [lengths.tolist(), (0.25 * lengths).tolist()]
    assert first.success_rate().tolist() == [1.0, 0.0]
    assert np.array_equal(first.lengths, second.lengths) and np.array_equal(first.returns, second.returns)

    assert first.interval()[0] == pytest.approx(wilson_interval(6, 6))
    assert first.seeds_interval() is None, "two seeds"


@pytest.mark.parametrize("environments", [2, 5, 8])
def test_fewer_environments_than_episodes(environments: int) -> None:
    """Episodes begin in order where others have ended, and each is as long as its seed says."""
    members, episodes, h = 2, 11, 2
    lengths = 3 + episode_seeds(9, episodes) % 6
    begun: list[list[int]] = [[], []]
    steps = []

    def begin(numbers: np.ndarray) -> None:
        for p in range(members):
            begun[p] += [number for number in numbers[p].tolist() if number >= 0]

    def act(observations: np.ndarray) -> np.ndarray:
        assert observations.shape[1] == environments // members
        steps.append(int((observations > 0).sum()))
        return np.broadcast_to(np.array([1.0, 0.25])[:, None, None], (members, environments // members, h))

    with EnvironmentPool(countdown, environments, metrics=[last_seen]) as pool:
        result = evaluate(act, pool, members, episodes, h, 1, seed=9, begin=begin)
    assert begun == [list(range(episodes))] * 2
    assert result.lengths.tolist() == [lengths.tolist()] * 2
    assert result.returns.tolist() == [lengths.tolist(), (0.25 * lengths).tolist()]
    assert result.success_rate().tolist() == [1.0, 0.0]
    assert result.metrics["last_seen"].tolist() == np.zeros((members, episodes)).tolist()
    assert np.mean(steps) > 0.6 * (environments // members * members), "most environments are busy"


def last_seen(value: float | None, step: Step) -> float:
    return float(step.observation[0])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_first_actions_of_a_chunk_are_executed(k: int) -> None:
    """Action j of a chunk repeats its observation's answer, less j / 100."""
    with EnvironmentPool(countdown, 1) as pool:
        later = np.arange(3) / 100
        result = evaluate(lambda o: o / 10 - later, pool, 1, 1, 3, 1, seed=2, execute_steps=k)
        n = int(result.lengths[0, 0])
    expected = sum((n - k * (i // k)) / 10 - (i % k) / 100 for i in range(n))
    assert result.returns[0, 0] == pytest.approx(expected, rel=1e-6)


def test_chunks_are_open_loop() -> None:
    """A chunk is made of what was seen at its start: the second action repeats the first observation's answer."""
    with EnvironmentPool(countdown, 1) as pool:
        result = evaluate(lambda o: np.repeat(o / 10, 3, axis=-1), pool, 1, 1, 3, 1, seed=2)
        n = int(result.lengths[0, 0])
    seen = [n - 3 * (i // 3) for i in range(n)]
    assert result.returns[0, 0] == pytest.approx(sum(seen) / 10, rel=1e-6)


def test_maze_trajectories_stay_in_the_maze_and_begin_at_the_start() -> None:
    make = partial(make_environment, "pointmaze-medium-navigate-v0", task=1)
    rng = np.random.default_rng(0)
    layout = maze_layout(make())
    with EnvironmentPool(make, 4) as pool:
        result = evaluate(
            lambda o: rng.uniform(-1, 1, (2, 2, 50)), pool, 2, 2, horizon_length=25, action_dim=2, seed=0,
            record_positions=True,
        )  # fmt: skip
    assert result.trajectories is not None and len(result.trajectories) == 2
    for path, length in zip(result.trajectories, result.lengths[0], strict=True):
        assert path.shape == (length + 1, 2)
        assert np.abs(path[0] - layout.start).max() <= layout.cell_size / 4
        assert not layout.is_wall(path).any()
        assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 1, "a piece of the path is missing"
    assert (result.lengths == 1000).all() and (result.returns == -1000).all() and result.success_rate().max() == 0


class Reworded(gymnasium.Wrapper):
    """Says success under another name, or with None never."""

    def __init__(self, word: str | None) -> None:
        super().__init__(countdown())
        self.word = word

    def step(self, action: np.ndarray) -> tuple:
        *step, info = self.env.step(action)
        return *step, {} if self.word is None else {self.word: info["success"]}


def test_gymnasiums_other_word_for_success_counts() -> None:
    with EnvironmentPool(partial(Reworded, "is_success"), 4) as pool:
        result = evaluate(lambda o: np.ones((2, 2, 3)) * [[[1.0]], [[0.0]]], pool, 2, 2, 3, 1, seed=0)
    assert result.success is not None and result.success.tolist() == [[True, True], [False, False]]


def test_an_environment_that_knows_no_success_has_returns_only() -> None:
    with EnvironmentPool(partial(Reworded, None), 4) as pool:
        result = evaluate(lambda o: np.ones((2, 2, 3)), pool, 2, 2, 3, 1, seed=0)
    assert result.success is None and (result.returns > 0).all()
    for asked in (result.success_rate, result.interval, result.seeds_interval):
        with pytest.raises(QamError, match="does not report whether an episode succeeded: compare the returns"):
            asked()


def test_episodes_without_a_report_are_not_solved_where_success_is_reported() -> None:
    silent = Evaluation({"return": np.array([[1.0], [2.0]]), "length": np.ones((2, 1), int)}, 1.0)
    assert silent.success is None
    assert silent.with_success().success.tolist() == [[False], [False]]  # type: ignore[union-attr]
    assert list(silent.with_success().metrics) == ["success", "return", "length"]


def test_a_grid_has_no_interval_over_its_members() -> None:
    found = {"success": np.eye(5, dtype=bool), "return": np.ones((5, 5)), "length": np.ones((5, 5), int)}
    assert Evaluation(found, 1.0).summary()["success_95"] is not None
    grid = Evaluation(found, 1.0).summary(grid=True)
    assert grid["success_95"] is None and len(grid["success_95_by_seed"]) == 5 and grid["success"] == 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 5}, "pool of 4"),
        ({"members": 0}, "must be >= 1"),
        ({"action_dim": 3}, "the environment has 1"),
        ({"horizon_length": 9}, r"expected \(1, 4, 9\)"),
    ],
)
def test_sizes_that_do_not_fit_are_reported(change: dict, message: str) -> None:
    arguments = {"members": 1, "episodes": 4, "horizon_length": 2, "action_dim": 1, "seed": 0, **change}
    with EnvironmentPool(countdown, 4) as pool, pytest.raises(QamError, match=message):
        evaluate(lambda o: np.zeros((1, 4, 2)), pool, **arguments)


def test_non_finite_actions_are_reported() -> None:
    with EnvironmentPool(countdown, 1) as pool, pytest.raises(QamError, match="non-finite actions"):
        evaluate(lambda o: np.full((1, 1, 2), np.nan), pool, 1, 1, 2, 1, seed=0)


def test_an_environment_without_time_limit_is_refused() -> None:
    with EnvironmentPool(Countdown, 1) as pool, pytest.raises(QamError, match="TimeLimit"):
        evaluate(lambda o: np.zeros((1, 1, 2)), pool, 1, 1, 2, 1, seed=0)


def test_a_summary_holds_every_metric_over_all_members_and_by_member() -> None:
    success = np.array([[True, True, False, False], [True, True, True, True]])
    plain = {"return": np.array([[0.0, 2, 4, 6], [1, 1, 1, 1]]), "length": np.full((2, 4), 5)}
    outcome = Evaluation({"success": success, **plain}, seconds=1.0)
    assert {name: values.tolist() for name, values in outcome.by_member().items()} == {
        "success": [0.5, 1.0], "return": [3.0, 1.0], "length": [5.0, 5.0]
    }  # fmt: skip
    summary = outcome.summary()
    assert (summary["success"], summary["return"], summary["length"]) == (0.75, 2.0, 5.0)
    assert summary["success_95"] is None and summary["return_range"] == [0.0, 6.0]
    assert outcome.of([0]).summary()["success_95"] == list(wilson_interval(2, 4))
    assert (summary["success_by_seed"], summary["return_by_seed"]) == ([0.5, 1.0], [3.0, 1.0])
    assert summary["success_95_by_seed"][0] == pytest.approx(wilson_interval(2, 4))
    unjudged = Evaluation(plain, seconds=1.0)
    assert list(unjudged.by_member()) == ["return", "length"]
    assert summary.keys() - unjudged.summary().keys() == {name for name in summary if name.startswith("success")}


# Custom metrics


def highest(so_far: float | None, step: Step) -> float | None:
    """The highest action, for episodes that succeed or have begun at 6 or more."""
    if so_far is None and step.observation[0] < 5 and not step.info["success"]:
        return None
    return max(-9.0 if so_far is None else so_far, float(step.action[0]))


def steps_so_far(so_far: float | None, step: Step) -> float:
    return (so_far or 0) + 1


def act_by_member(observations: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.array([0.75, 0.25])[:, None, None], (*observations.shape[:2], 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_custom_metrics_are_those_of_whole_episodes(workers: int) -> None:
    """Over chunks of two, in any process; members that never succeed have a value only in long episodes."""
    lengths = 3 + episode_seeds(9, 6) % 6
    with EnvironmentPool(countdown, 12, workers, metrics=[steps_so_far, highest]) as pool:
        outcome = evaluate(act_by_member, pool, 2, 6, 2, 1, seed=9)
        again = evaluate(act_by_member, pool, 2, 6, 2, 1, seed=9)
    assert list(outcome.metrics) == ["success", "return", "length", "steps_so_far", "highest"]
    assert outcome.metrics["steps_so_far"].tolist() == outcome.lengths.tolist() == [lengths.tolist()] * 2
    expected = np.where(lengths >= 6, 0.25, np.nan)
    assert (lengths >= 6).any() and not (lengths >= 6).all()
    np.testing.assert_array_equal(outcome.metrics["highest"], [np.full(6, 0.75), expected])
    np.testing.assert_array_equal(again.metrics["highest"], outcome.metrics["highest"])
    assert outcome.custom()["highest"].tolist() == [0.75, 0.25]


def test_a_summary_holds_custom_metrics_and_null_for_no_value() -> None:
    plain = {"return": np.zeros((2, 2)), "length": np.ones((2, 2), int)}
    values = np.array([[1.0, np.nan], [np.nan, np.nan]])
    outcome = Evaluation({**plain, "height": values}, seconds=1.0)
    summary = outcome.summary()
    assert (summary["height"], summary["height_by_seed"]) == (1.0, [1.0, None])
    assert np.isnan(outcome.by_member()["height"]).tolist() == [False, True]
    assert outcome.of([1]).summary()["height"] is None


def wrong(so_far: float | None, step: Step) -> float:
    return step.info["nothing"]


def test_a_custom_metric_that_fails_is_named() -> None:
    message = r"evaluation metric 'wrong' failed \(KeyError: 'nothing'\)"
    with EnvironmentPool(countdown, 1, metrics=[wrong]) as pool, pytest.raises(EnvironmentFailure, match=message):
        evaluate(lambda o: np.ones((1, 1, 1)), pool, 1, 1, 1, 1, seed=0)


def seeds(so_far: float | None, step: Step) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([partial(highest)], "has no name"),
        ([lambda so_far, step: 1.0], "has no name"),
        ([highest, highest], "named 'highest', which is reserved"),
        ([seeds], "named 'seeds', which is reserved"),
    ],
)
def test_custom_metrics_have_names_of_their_own(metrics: list, message: str) -> None:
    with pytest.raises(QamError, match=message):
        EnvironmentPool(countdown, 1, metrics=metrics)


def test_a_custom_metric_that_workers_cannot_import_is_refused() -> None:
    def local(so_far: float | None, step: Step) -> float:
        return 1.0

    with pytest.raises(QamError, match="an evaluation metric cannot be sent to a worker process"):
        EnvironmentPool(countdown, 1, workers=1, metrics=[local])
