"""Runs on data from elsewhere than OGBench: the page about them, both sources to the end, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.cli.evaluate import main as evaluate_main
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.training import evaluator
from qam_torch.training.fit import RunResult
from tests.helpers.docs_pages import DOCS, blocks
from tests.helpers.runs import TINY, one_sentence, unrecorded

Train = Callable[..., int]

PAGE = "bring-your-own-data.md"
BLOCKS = [block for block in blocks(PAGE) if block[0] != "text"]


class Reach(gymnasium.Env):
    """A goal on a line: the action in [0, 4] less 2 moves the state; on the goal the task is solved. No time limit."""

    action_space = Box(0.0, 4.0, (1,))
    observation_space = Dict({name: Box(-9, 9, (1,)) for name in ("observation", "achieved_goal", "desired_goal")})

    def _seen(self) -> dict[str, np.ndarray]:
        parts = {"observation": self.state, "achieved_goal": self.state, "desired_goal": self.goal}
        return {name: np.array([part], np.float32) for name, part in parts.items()}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        self.state, self.goal = 0.0, float(self.np_random.uniform(1, 2))
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self.state = float(np.clip(self.state + action[0] - 2.0, -9, 9))
        reached = abs(self.state - self.goal) < 0.5
        return self._seen(), float(reached) - 1.0, reached, False, {"is_success": reached}


gymnasium.register("qam_tests/Reach-v0", Reach)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to work in, and updates without their recording."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari's, that the dataset names no author
        yield tmp_path


def fit(*words: str) -> RunResult:
    return qam_torch.fit(qam_torch.compose([*TINY, "logger=csv", *words]))


def reach_file(path: Path) -> Path:
    """Thirty episodes of up to twelve random steps, observed as the run will observe them."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("observations", "actions", "rewards", "terminals", "timeouts")
    }
    environment, random = Reach(), np.random.default_rng(0)
    for seed in range(30):
        seen, over = environment.reset(seed=seed)[0], False
        for step in range(12):
            action = random.uniform(0, 4, 1).astype(np.float32)
            following, reward, over, *_ = environment.step(action)
            row = (np.concatenate([seen["observation"], seen["desired_goal"]]), action, reward, over, step == 11)
            for values, value in zip(columns.values(), row, strict=True):
                values.append(value)
            seen = following
            if over:
                break
    np.savez(path, **columns)  # type: ignore[arg-type]
    return path


def pendulum_file(path: Path, **changes: Any) -> Path:
    """Two short pieces of nonsense of Pendulum-v1's sizes."""
    arrays: dict[str, Any] = {
        "observations": np.random.default_rng(0).normal(size=(40, 3)),
        "actions": np.linspace(-2, 2, 40)[:, None],
        "rewards": -np.ones(40),
        "terminals": np.arange(40) == 19,
        **changes,
    }
    np.savez(path, **arrays)
    return path


def pendulum(*words: str) -> list[str]:
    return ["env=npz", f"path={pendulum_file(Path('my.npz'))}", "env_id=Pendulum-v1", "run_dir=run", *words]


# The page


def command(text: str, program: str = "qam-train") -> list[str]:
    """The words of the page's command, after the program's name."""
    words = shlex.split(text.replace("\\\n", " "))
    return words[words.index(program) + 1 :]


@pytest.mark.slow
def test_the_page_with_a_file_of_ones_own(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_, make), (_, run), (_, act) = BLOCKS[:3]
    assert len(make.strip().splitlines()) <= 20
    scope: dict[str, Any] = {}
    exec(make, scope)
    assert train(*command(run), "eval_workers=0", "logger=csv", "trainer=cpu") == 0, capsys.readouterr().err
    assert re.search(r"\n  return +-\d+\.\d \[", capsys.readouterr().out)
    exec(act, scope)
    assert scope["policy"](scope["observation"]).shape == (1, 1)
    assert scope["environment"].action_space == Box(-1, 1, (1,))
    assert -20 < scope["reward"] < 0
    assert "qam-eval\nruns/pendulum/checkpoints/best.ckpt" in (DOCS / PAGE).read_text()
    assert evaluate_main(["runs/pendulum/checkpoints/best.ckpt", "--episodes=1", "--workers=0"]) == 0


@pytest.mark.slow
def test_the_page_with_an_hdf5_file(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same steps as in the npz file give the same run."""
    pytest.importorskip("h5py")
    (_, make), (_, npz), _, (_, convert), (_, run) = BLOCKS[:5]
    exec(make, {})
    exec(convert, {})
    for words in (npz, run):
        assert train(*command(words), "eval_workers=0", "logger=csv", "trainer=cpu") == 0, capsys.readouterr().err
    one, other = (json.loads((here / "runs" / name / "summary.json").read_text()) for name in ("pendulum", "hdf5"))
    assert other["data"]["transitions"] == 2000 and other["final"] == one["final"]
    capsys.readouterr()
    assert evaluate_main(["runs/hdf5/checkpoints/best.ckpt", "--episodes=1", "--workers=0"]) == 0
    assert qam_torch.load_policy("runs/hdf5").environment["source"] == "hdf5"


@pytest.mark.slow
def test_the_page_with_a_minari_data_set(train: Train, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("minari")
    (_, install), (_, make), (_, run) = BLOCKS[5:]
    exec(make, {})
    assert train(*command(run), "eval_workers=0", "logger=csv", "trainer=cpu") == 0, capsys.readouterr().err
    summary = json.loads((here / "runs" / "minari" / "summary.json").read_text())
    assert summary["environment"] == "pendulum/random-v0" and summary["data"]["origin"] == "minari"
    assert (summary["data"]["transitions"], summary["data"]["episodes"]) == (2000, 10)
    literal = qam_torch.compose(command(install))
    assert (literal.env.source, literal.env.dataset) == ("minari", "mujoco/hopper/medium-v0")
    assert literal.run_dir == "runs/quickstart/minari-mujoco_hopper_medium-v0/qam/seed0"


# Without success


@pytest.mark.slow
def test_return_is_the_headline_where_there_is_no_success(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = fit(*pendulum("seeds=[1,2]", "compare_behavior=true"))
    out = capsys.readouterr().out
    assert "success" not in out and len(re.findall(r"update +\d+   return +-\d+\.\d \[-", out)) == 2
    final = result.summary["final"]
    low, high = final["return_range"]
    assert low <= final["return"] <= high < 0 and len(final["return_by_seed"]) == 2
    assert "success" not in json.dumps(result.summary)
    assert result.summary["plots"] == ["plots/losses.png", "plots/return.png"]
    metrics = read_metrics("run/metrics.csv")
    assert np.isnan(metrics["evaluation/success"]).all() and np.isfinite(metrics["evaluation/return"]).sum() == 4

    assert evaluate_main(["run/checkpoints/last.ckpt", "--episodes=1", "--workers=0", "--json=out.json"]) == 0
    assert "success" not in capsys.readouterr().out
    assert json.loads(Path("out.json").read_text()).keys() == {"seeds", "members", "episodes", "return", "length"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("returns", "success", "best"),
    [
        ([-5.0, -3.0, -4.0], [None, None, None], 2),
        ([-5.0, -6.0, -7.0], [0.0, 0.5, 0.5], 2),
        ([-5.0, -4.0, -6.0], [None, None, 0.5], 3),  # a word that is said of the solved only
        ([-5.0, -6.0, -4.0], [None, 0.5, None], 2),
    ],
)
def test_the_best_is_by_success_and_without_it_by_return(
    returns: list[float], success: list[float | None], best: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(algorithm: Algorithm, pool: Any, episodes: int, action_dim: int, update: int, *_: Any) -> Evaluation:
        rate = success[update // 10 - 1]
        solved = None if rate is None else np.arange(2)[None] < 2 * rate
        metrics = {"return": np.full((1, 2), returns[update // 10 - 1]), "length": np.ones((1, 2), int)}
        return Evaluation(metrics if solved is None else {"success": solved, **metrics}, 0.0)

    monkeypatch.setattr(evaluator, "evaluate_members", outcome)
    monkeypatch.setattr("qam_torch.training.summary.save_plots", lambda *_: [])
    result = fit(*pendulum("offline_steps=30", "eval_every=10"))
    assert result.summary["best"]["update"] == 10 * best
    assert read_checkpoint("run/checkpoints/best.ckpt")[SECTION]["update"] == 10 * best


# With success, a goal, and no time limit


@pytest.mark.slow
def test_a_goal_is_observed_success_is_reported_and_episodes_end(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = reach_file(here / "reach.npz")
    longest = 12 - 1  # the row at which an episode is cut has no next state
    result = fit("env=npz", f"path={path}", "env_id=qam_tests/Reach-v0", "run_dir=run", "algo.horizon_length=1")
    assert (
        f"the environment has no time limit: evaluation episodes end after {longest} steps" in capsys.readouterr().out
    )
    assert 0 <= result.summary["final"]["success"] <= 1
    assert "plots/success.png" in result.summary["plots"]
    policy = qam_torch.load_policy("run/checkpoints/last.ckpt")
    assert policy.environment["max_episode_steps"] == longest
    environment = policy.make_environment()
    observation, _ = environment.reset(seed=3)
    assert observation.shape == (2,) and 1 <= observation[1] <= 2
    outcome = qam_torch.evaluate("run/checkpoints/last.ckpt", episodes=3, workers=0)
    assert outcome.success is not None and (outcome.lengths <= longest).all()


@pytest.mark.slow
def test_a_run_continues_only_on_the_same_data(here: Path, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TINY, "logger=csv", "resume=auto", *pendulum()]
    assert train(*words, "offline_steps=20") == 0
    assert train(*words, "offline_steps=40") == 0
    assert "continuing from update 20" in capsys.readouterr().out
    pendulum_file(here / "my.npz", rewards=np.ones(40))
    assert train(*words, "offline_steps=60") == 1
    assert "has data=" in one_sentence(capsys.readouterr().err)


# Names and mistakes


def test_directories_are_named_after_the_environment_and_tell_files_apart() -> None:
    def run_dir(*words: str) -> str:
        return str(Path(qam_torch.compose(list(words)).run_dir))

    npz = run_dir("env=npz", "path=/a/my.npz", "env_id=Pendulum-v1", "seed=3")
    assert npz == "runs/quickstart/npz-Pendulum-v1/qam/path=_a_my.npz/seed3"
    assert run_dir("env=minari", "dataset=D4RL/door/human-v2") == "runs/quickstart/minari-D4RL_door_human-v2/qam/seed0"
    assert run_dir("env=minari", "dataset=a-v0", "data.download=false", "data.mirrors=[https://x]") == run_dir(
        "env=minari", "dataset=a-v0"
    )


MISTAKES = {
    ("env=npz", "env_id=Pendulum-v1"): "env=npz requires path=..., e.g. path=my.npz; got without it",
    ("env=npz", "path=my.npz"): "env=npz requires env_id=..., e.g. env_id=Pendulum-v1",
    ("env=npz", "path=my.npz", "env_id=3"): "environment '3' cannot be made",
    ("env=hdf5", "path=my.npz", "env_id=Pendulum-v1"): "is an npz file, not an HDF5 file: train with env=npz path=",
    ("env=hdf5", "env_id=Pendulum-v1"): "env=hdf5 requires path=..., e.g. path=my.hdf5; got without it",
    ("env=hdf5", "path=my.npz", "env_id=Pendulum-v1", "env.obs_keys=a"): "env.obs_keys=a is out of range: expected a",
    ("env=minari",): "env=minari requires dataset=..., e.g. dataset=mujoco/hopper/medium-v0",
    ("env=minari", "dataset=none/of-v0", "data.download=false"): "'none/of-v0' cannot be read or fetched",
    ("dataset=mujoco/hopper/medium-v0",): "unknown key 'dataset': did you mean env.dataset",
    ("env=npz", "path=my.npz", "env_id=Pendulum-v1", "task=2"): "task=2 selects a task of OGBench: leave it out",
    ("env=npz", "path=my.npz", "env_id=Pendulum-v1", "env.reward=sparse"): "unknown key 'env.reward'",
    ("env=npz", "path=my.npz", "env_id=Pendulum-v1", "data.path=x.npz"): "give the file as path=...",
    ("env=npz", "path=no.npz", "env_id=Pendulum-v1"): "no.npz does not exist",
    ("env=npz", "path=my.npz", "env_id=Pendulm-v1"): "environment 'Pendulm-v1' cannot be made",
    ("env=npz", "path=my.npz", "env_id=CartPole-v1"): "only continuous actions are supported",
    ("env=npz", "path=my.npz", "env_id=MountainCarContinuous-v0"): "first in row 0 ([-2], expected [-1] to [1])",
    ("env=npz", "path=wide.npz", "env_id=Pendulum-v1"): "observations of size 5 but environment 'Pendulum-v1' gives 3",
    (
        "env=npz",
        "path=my.npz",
        "env_id=Pendulum-v1",
        "algo.horizon_length=30",
    ): "algo.horizon_length=30 exceeds the longest episode (20 steps): use 20 or less",
    ("env.source=elsewhere",): "env.source=elsewhere is out of range: expected ogbench, minari, npz, hdf5, or the path",
    ("data.shard_every=0",): "data.shard_every=0 is out of range",
    ("data.download=maybe",): "data.download=maybe is out of range: expected true or false",
    ("data.mirrors=https://x",): "data.mirrors=https://x is out of range: expected a list of URLs",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=["_".join(words) for words in MISTAKES])
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], message: str, here: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    pendulum_file(here / "my.npz")
    pendulum_file(here / "wide.npz", observations=np.zeros((40, 5)))
    small = [word for word in TINY if word.split("=")[0] not in {given.split("=")[0] for given in words}]
    assert train(*small, "run_dir=run", *words) == 1
    captured = capsys.readouterr()
    assert message in one_sentence(captured.err) and captured.out.count("\n") <= 1
    assert not (here / "run" / "config.yaml").exists()


def test_without_the_minari_package(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "minari" else find(name, *a))
    assert train("env=minari", "dataset=pendulum/random-v0", "run_dir=run") == 1
    assert "env=minari requires the minari package: pip install 'minari[hdf5" in one_sentence(capsys.readouterr().err)
