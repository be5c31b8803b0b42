"""Share of a run's time that Lightning, progress bar, logging and checkpoints take beside the updates.

    python scripts/trainer_share.py [OVERRIDE ...]

A run of `qam-train` on the quickstart's maze with 50 updates per trainer step, in which an update only waits a
millisecond. The trainer's share is the wall time without the updates and without drawing batches and noise. The time
before the first trainer step and evaluations are not included.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import qam_torch
from qam_torch.algorithms import Algorithm, NamedNoise
from qam_torch.data.sampler import ChunkSampler
from qam_torch.rundir.metrics_file import read_metrics

UPDATES, UPDATE_SECONDS = 20_000, 1e-3
SETTINGS = (
    "experiment=quickstart",
    "updates_per_step=50",
    f"offline_steps={UPDATES}",
    f"eval_every={UPDATES}",
    "checkpoint_every=5000",
    "log_every=1000",
    "eval_episodes=1",
    "compare_behavior=false",
    "compile=false",
)


def dummy_update(algorithm: Algorithm, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
    """A millisecond of work for the host."""
    end = time.perf_counter() + UPDATE_SECONDS
    while time.perf_counter() < end:
        pass
    return {"critic/loss": torch.zeros(algorithm.members)}


def timed(spent: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which adds its time to spent[name]."""

    def run(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.perf_counter() - start

    return run


def main() -> None:
    """Print the shares."""
    spent: dict[str, float] = defaultdict(float)
    at_line: list[dict[str, float]] = []
    Algorithm.update = timed(spent, "updates", dummy_update)  # type: ignore[method-assign]
    ChunkSampler.sample = timed(spent, "batches", ChunkSampler.sample)  # type: ignore[method-assign]
    NamedNoise.sample = timed(spent, "noise", NamedNoise.sample)  # type: ignore[method-assign]
    log = Algorithm.training_step

    def training_step(algorithm: Algorithm, *arguments: Any) -> None:
        log(algorithm, *arguments)
        if not at_line or algorithm.trainer.global_step >= UPDATES:
            at_line.append({**spent, "wall": time.perf_counter()})

    Algorithm.training_step = training_step  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        qam_torch.fit(qam_torch.compose([*SETTINGS, f"run_dir={run}", *sys.argv[1:]]))
        assert read_metrics(run / "metrics.csv")
    first, last = at_line
    parts = {name: last[name] - first[name] for name in ("updates", "batches", "noise")}
    wall = last["wall"] - first["wall"]
    for name, seconds in {**parts, "the trainer": wall - sum(parts.values())}.items():
        print(f"{name:12} {seconds:7.2f} s  {100 * seconds / wall:5.1f}%")


if __name__ == "__main__":
    main()
