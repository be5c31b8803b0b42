"""Every method through everything a run can do: both phases, stopping, members, acting, and being measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core import acting
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.cli import evaluate as command
from qam_torch.inference import episodes
from qam_torch.rollout.evaluation import Act, Evaluation
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.types import QamError
from tests.algorithms.test_configs import ALGOS
from tests.helpers.runs import Fit
from tests.training.test_resume import assert_same_results

H, ACTION_DIM, EPISODE_STEPS = 2, 2, 9
SEEDS = (3, 4)
STEPS = ("online_steps=24", "start_training=6", "eval_every=12", "log_every=6", "checkpoint_every=5")
PHASES = {"rlpd": ("offline_steps=0", "replay_mode=balanced")}  # it is meant for online training only


class Whole(NamedTuple):
    """A method's options and its uninterrupted run: a population of two, the best of three chunks."""

    options: tuple[str, ...]
    directory: Path
    algorithm: Algorithm

    @property
    def last(self) -> Path:
        return self.directory / "checkpoints" / "last.ckpt"


def options_of(algo: str) -> tuple[str, ...]:
    phases = PHASES.get(algo, ("offline_steps=8", "replay_mode=append"))
    return (f"algo={algo}", *phases, *STEPS, "precision=float64", "logger=csv", "algo.best_of_n=3")


@pytest.fixture(scope="module", autouse=True)
def short_episodes(data_directory: Path) -> Iterator[None]:
    """So that evaluation takes a moment, and episodes end while experience is collected."""
    with pytest.MonkeyPatch.context() as patch:
        spec = gymnasium.spec("pointmaze-medium-singletask-task1-v0")
        patch.setattr(spec, "max_episode_steps", EPISODE_STEPS)
        # The same numbers, see test_acting.py.
        patch.setattr(acting, "record", lambda function, example: SimpleNamespace(forward=function))
        yield


ONE_OF_EACH = ("qam_e", "dsrl", "rlpd", "dac")
"""A method with each kind of policy: of a flow, of latents, Gaussian, of a diffusion."""


@pytest.fixture(
    scope="module",
    params=[algo if algo in ONE_OF_EACH else pytest.param(algo, marks=pytest.mark.slow) for algo in ALGOS],
)
def whole(request: pytest.FixtureRequest, tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    algo, options = request.param, options_of(request.param)
    run = tiny_fit(tmp_path_factory.mktemp(algo) / "run", *options, f"seeds={list(SEEDS)}")
    assert run.algorithm is not None
    return Whole(options, run.directory, run.algorithm)


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(
    whole: Whole, tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*whole.options, f"seeds={list(SEEDS)}", "resume=auto")
    updates, update = 0, Algorithm.apply_gradients

    def stops(algorithm: Algorithm, *arguments: Any) -> Any:
        nonlocal updates
        updates += 1
        if updates == 17:
            raise QamError("stopped")
        return update(algorithm, *arguments)

    monkeypatch.setattr(Algorithm, "apply_gradients", stops)
    with pytest.raises(QamError, match="stopped"):
        tiny_fit(tmp_path / "run", *options)
    monkeypatch.undo()
    tiny_fit(tmp_path / "run", *options)
    assert_same_results(whole.directory, tmp_path / "run")


@pytest.mark.slow
def test_a_member_is_its_lone_run(whole: Whole, tiny_fit: Fit, tmp_path: Path) -> None:
    alone = tiny_fit(tmp_path / "run", *whole.options, f"seed={SEEDS[1]}").algorithm
    assert alone is not None
    together = whole.algorithm.state_dict()
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(value[0], together[name][1], rtol=1e-9, atol=1e-9, msg=name)


def test_a_loaded_policy_acts_as_the_algorithm_does(whole: Whole) -> None:
    seen = np.random.default_rng(0).normal(size=(5, 2))
    expected = PopulationActor(whole.algorithm, seeds=(7, 8))(np.stack([seen, seen]))
    for member, seed in enumerate((7, 8)):
        chunks = qam_torch.load_policy(whole.last, member=member, noise_seed=seed)(seen)
        assert chunks.shape == (5, H, ACTION_DIM) and np.abs(chunks).max() <= 1
        np.testing.assert_allclose(chunks.reshape(5, -1), expected[member], rtol=1e-9, atol=1e-12)
    assert not np.allclose(*expected)


def test_qam_eval_lets_the_trained_policy_act(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[np.ndarray, np.ndarray]] = []

    def watched(act: Act, *arguments: Any, **options: Any) -> Evaluation:
        def watched_act(seen: np.ndarray) -> np.ndarray:
            done.append((seen, act(seen)))
            return done[-1][1]

        return run_episodes(watched_act, *arguments, **options)

    run_episodes = episodes.evaluate
    monkeypatch.setattr(episodes, "evaluate", watched)
    outcome_file = tmp_path / "outcome.json"
    assert command.main([str(whole.last), "--episodes=2", "--workers=0", "--seed=1", f"--json={outcome_file}"]) == 0
    outcome = json.loads(outcome_file.read_text())
    assert outcome["seeds"] == list(SEEDS) and outcome["length"] == [EPISODE_STEPS] * 2
    trained = PopulationActor(whole.algorithm, stream="evaluate/1")
    assert len(done) == math.ceil(EPISODE_STEPS / H)
    for seen, chunks in done:
        np.testing.assert_allclose(chunks, trained(seen), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("algo", ONE_OF_EACH)
def test_n_step_mode_goes_through_a_whole_run(algo: str, tiny_fit: Fit, tmp_path: Path) -> None:
    """Updates of all methods in this mode: tests/algorithms/test_every_method.py."""
    run = tiny_fit(tmp_path / "run", *options_of(algo), "algo.action_chunking=false", "algo.best_of_n=1")
    assert run.algorithm is not None and run.algorithm.chunk_dim == ACTION_DIM
    found = read_metrics(run.directory / "metrics.csv")
    losses = [name for name in found if name.split("/")[0] not in ("evaluation", "collection") and "/" in name]
    trained = found["update"] > 0
    assert len(losses) > 3 and trained.sum() >= 4
    for name in losses:
        assert np.isfinite(found[name][trained]).all(), name
    action = qam_torch.load_policy(run.directory / "checkpoints" / "last.ckpt")(np.zeros(2))
    assert action.shape == (1, ACTION_DIM) and np.abs(action).max() <= 1
