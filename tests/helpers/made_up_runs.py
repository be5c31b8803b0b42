"""Run directories as runs leave them, made up: any method, domain, seeds and outcome, without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from qam_torch.config.composition import compose
from qam_torch.rundir.metrics_file import MetricsFile

Success = Callable[[int, int], float]
"""(seed, step) -> success rate."""

EVALUATION = {"evaluation/return": -1.0, "evaluation/length": 100.0, "evaluation/seconds": 2.0}


@cache
def _composed(overrides: tuple[str, ...]) -> str:
    return OmegaConf.to_yaml(compose(["experiment=default", *overrides, "run_dir=elsewhere"]), resolve=True)


def make_run(
    root: Path,
    algo: str = "qam",
    env: str = "cube-double-play",
    task: int = 1,
    seeds: Sequence[int] = (1, 2, 3),
    offline: int = 100_000,
    online: int = 0,
    every: int = 50_000,
    success: Success | float = 0.5,
    finished: bool = True,
    reached: int | None = None,
    population: Mapping[str, Sequence[float]] | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    metrics: Mapping[str, Success] | None = None,
) -> Path:
    """One run of some seeds -> its directory.

    success     of each seed and step
    finished    whether it has left a summary
    reached     the step until which it was evaluated, where that is not all
    metrics     custom metrics: name -> value for each seed and step
    population  numbers of each member in place of the configuration's, one for each seed
    """
    asked = [f"algo={algo}", f"env={env}", f"task={task}", *overrides]
    asked += [f"seeds=[{','.join(map(str, dict.fromkeys(seeds)))}]", f"offline_steps={offline}"]
    config = OmegaConf.create(_composed((*asked, f"online_steps={online}")))
    if population:
        config.population = {key: list(dict.fromkeys(values)) for key, values in population.items()}
    path = root / (name or f"{env}-task{task}-{algo}-{'-'.join(map(str, seeds))}{'-'.join(overrides)}")
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(OmegaConf.to_yaml(config))
    file = MetricsFile(path / "metrics.csv", seeds, population)
    others = metrics or {}
    last = offline + online if reached is None else reached
    steps = [*range(every, offline + 1, every), *range(offline + every, offline + online + 1, every)]
    for step in steps:
        phase = "offline" if step <= offline else "online"
        rates = [success(seed, step) if callable(success) else success for seed in seeds]
        outcome = {name: np.full(len(seeds), value) for name, value in EVALUATION.items()}
        if step <= last:
            custom = {f"evaluation/{key}": np.array([f(seed, step) for seed in seeds]) for key, f in others.items()}
            file.write(
                {"step": step, "phase": phase, "update": step},
                1.0,
                {**outcome, "evaluation/success": np.array(rates), **custom},
            )
    if finished:
        summary: dict[str, Any] = {"offline_steps": offline, "online_steps": online, "final": {}, "seeds": list(seeds)}
        (path / "summary.json").write_text(json.dumps(summary))
    return path
