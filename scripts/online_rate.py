"""Rate of an online run: steps per second of the whole loop, compared with a bound from its parts.

    python scripts/online_rate.py [OVERRIDE ...]

The parts are an update, a step of the environment, and action selection, once per chunk. The bound is
1 / (update + step + selection / h). The loop is that of `qam-train` with Lightning, replay buffer, sampling, metrics.
Rounds of parts and loop alternate, so that other load on the machine affects both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import CollectingActor
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.suites import suite_of
from qam_torch.types import Batch

ROUNDS = 3


def median_seconds(function: Callable[[], object], calls: int) -> float:
    """Median over the calls, after a few to warm up."""
    times = []
    for call in range(calls + 5):
        start = time.perf_counter()
        function()
        if call >= 5:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def update_seconds(algorithm: Algorithm, batch_size: int, calls: int) -> float:
    """One update, with draws that are made before."""
    shapes = (algorithm.members, batch_size)
    batch = Batch(
        torch.randn(*shapes, algorithm.observation_dim),
        torch.rand(*shapes, algorithm.chunk_dim) * 2 - 1,
        -torch.ones(shapes),
        torch.ones(shapes),
        torch.ones(shapes),
        torch.randn(*shapes, algorithm.observation_dim),
    )
    algorithm.prepare_noise(batch_size)
    assert algorithm.noise is not None
    noise = {name: draw[0] for name, draw in algorithm.noise.sample(1).items()}
    return median_seconds(lambda: algorithm.update(batch, noise), calls)


def step_seconds(environment: dict, calls: int) -> float:
    """One step of the environment alone."""
    env = suite_of(environment).make(environment)()
    env.reset(seed=0)
    actions = iter(np.random.default_rng(0).uniform(-1, 1, size=(calls + 5, *env.action_space.shape)))

    def step() -> None:
        *_, end, limit, _ = env.step(next(actions))
        if end or limit:
            env.reset()

    return median_seconds(step, calls)


def act_seconds(algorithm: Algorithm, calls: int) -> float:
    """A chunk for one observation."""
    actor = CollectingActor(algorithm, streams=1)
    observation = np.zeros((algorithm.members, 1, algorithm.observation_dim), np.float32)
    active = np.ones(algorithm.members, bool)
    return median_seconds(lambda: actor(observation, active), calls)


def loop_seconds(run: Path) -> float:
    """A step of the online phase, median over the stretches between two logged rows without an evaluation."""
    metrics = read_metrics(run / "metrics.csv")
    rows = np.flatnonzero((metrics["phase"] == 1) & np.isnan(metrics["evaluation/return"]))
    steps, seconds = np.diff(metrics["step"][rows]), np.diff(metrics["seconds"][rows])
    return float(np.median((seconds / steps)[1:]))


def main(overrides: list[str]) -> None:
    """Print a line a round, and the median."""
    ratios = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            words = ["offline_steps=2", "online_steps=2000", "start_training=10", "log_every=200", "eval_every=100000"]
            more = [f"run_dir={directory}/run", "eval_episodes=1", "logger=csv", "compare_behavior=false"]
            config = qam_torch.compose([*words, *more, *overrides])
            run = qam_torch.fit(config)
            algorithm, environment = run.algorithm, run.summary
            assert algorithm is not None
            loop = loop_seconds(run.directory)
            known = {"env_name": environment["environment"], "task": environment["task"], "reward": "dense"}
            calls = 200 if loop < 0.05 else 20
            update = update_seconds(algorithm, config.batch_size, calls)
            step, act = step_seconds(known, 500), act_seconds(algorithm, 200)
        chunk = config.algo.horizon_length if config.algo.action_chunking else 1
        bound = update + step + act / chunk
        ratios.append(bound / loop)
        print(
            f"round {number + 1}: update {update * 1e3:.2f} ms, step {step * 1e3:.3f} ms, acting {act * 1e3:.3f} ms "
            f"a chunk of {chunk}; loop {loop * 1e3:.2f} ms a step: {ratios[-1]:.0%} of the possible rate",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.0%}, {torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main(sys.argv[1:])
