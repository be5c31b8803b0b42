"""Made-up run directories as runs leave them, for a report whose every word is frozen.

They lie in expected/made_runs/ as text. What a run directory's place in the tree is, and the settings of each run, are
below; `record.py` writes them again with the configurations that are composed then.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TREE = Path(__file__).parent / "expected" / "made_runs"
RECORDS = "records"
"""What the folder `runs` of a sweep is called there, because git ignores that name."""


def copied_tree(target: Path) -> Path:
    """The made-up runs as they would lie on a disk, in a new directory.

    Args:
        target: The directory, which must not be there yet.

    Returns:
        The same.
    """
    shutil.copytree(TREE, target)
    for records in target.glob(f"sweeps/*/{RECORDS}"):
        records.rename(records.with_name("runs"))
    (target / "train" / "empty").mkdir(parents=True)
    return target


@dataclass(frozen=True)
class MadeRun:
    """One run.

    Attributes:
        overrides: What it was asked for.
        success: (seed, step) -> success rate.
        seeds: Of its members, in their order.
        values: Numbers of the members of a grid, one for each member.
        reached: Step until which it was evaluated; None = all.
        ending: finished, unfinished, diverged, or broken for a metrics.csv that is none.
        suffix: Of its directory's name.
    """

    overrides: Sequence[str]
    success: Callable[[int, int], float]
    seeds: Sequence[int]
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    reached: int | None = None
    ending: str = "finished"
    suffix: str = ""


def _rising(least: float, slope: float) -> Callable[[int, int], float]:
    return lambda seed, step: round(min(1.0, least + slope * step / 100_000 + 0.02 * (seed % 7)), 4)


CUBE, SCENE = "env=cube-double-play", "env=scene-play"
OFFLINE = ("offline_steps=100000",)
RUNS = (
    MadeRun(["algo=qam", CUBE, "task=1", "seeds=[1,2,3]", *OFFLINE], _rising(0.3, 0.3), (1, 2, 3)),
    MadeRun(["algo=qam", CUBE, "task=2", "seeds=[1,2,3]", *OFFLINE], _rising(0.2, 0.4), (1, 2, 3)),
    MadeRun(["algo=fql", CUBE, "task=1", "seeds=[1,2,3]", *OFFLINE], _rising(0.2, 0.2), (1, 2, 3)),
    MadeRun(["algo=fql", CUBE, "task=2", "seeds=[1,2]", *OFFLINE], _rising(0.1, 0.2), (1, 2)),
    MadeRun(
        ["algo=qam", SCENE, "task=1", "seeds=[1,2]", "offline_steps=100000", "online_steps=50000"],
        _rising(0.4, 0.2),
        (1, 2),
    ),
    MadeRun(
        ["algo=qam", SCENE, "task=2", "seed=4", "population.inv_temp=[1,3]", *OFFLINE],
        _rising(0.5, 0.1),
        (4, 4),
        {"inv_temp": (1, 3)},
    ),
    MadeRun(
        ["algo=fql", SCENE, "task=1", "seed=1", *OFFLINE], _rising(0.3, 0.1), (1,), reached=50_000, ending="unfinished",
    ),
    MadeRun(["algo=fql", SCENE, "task=1", "seed=2", *OFFLINE], _rising(0.3, 0.1), (2,), ending="broken"),
    MadeRun(
        ["algo=fql", SCENE, "task=2", "seed=1", "algo.lr=0.1", *OFFLINE], _rising(0.3, 0.1), (1,), reached=50_000,
        ending="diverged",
    ),
    MadeRun(["algo=qam", CUBE, "task=1", "seeds=[1,2,3]", *OFFLINE], _rising(0.1, 0.1), (1, 2, 3), suffix=".old-1"),
)  # fmt: skip

EVALUATION = {"evaluation/return": -150.0, "evaluation/length": 200.0, "evaluation/seconds": 2.0}
EVERY = 50_000
DIVERGED = (
    "training diverged: infinite or NaN gradient of seed=1 at update 60,001; lower algo.lr; last good checkpoint: "
    "runs/checkpoints/last.ckpt (update 60000)"
)


def make_runs(tree: Path, compose: Callable[[Sequence[str]], Any]) -> None:
    """Write all runs and a sweep's records of some of them.

    Args:
        tree: Directory of the tree; what is there is removed.
        compose: Overrides -> configuration, as `qam_torch.compose`.
    """
    from omegaconf import OmegaConf

    shutil.rmtree(tree, ignore_errors=True)
    homes = []
    for run in RUNS:
        config = compose(run.overrides)
        homes.append(str(config.run_dir))
        path = tree / (str(config.run_name) + run.suffix)
        path.mkdir(parents=True)
        (path / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
        steps = [*range(EVERY, config.offline_steps + config.online_steps + 1, EVERY)]
        if run.ending == "broken":
            (path / "metrics.csv").write_text("a,b\n")
            continue
        _metrics(path / "metrics.csv", run, [step for step in steps if step <= (run.reached or steps[-1])], config)
        if run.ending == "diverged":
            (path / "failed.txt").write_text(DIVERGED + "\n")
        if run.ending == "finished":
            done = {"offline_steps": config.offline_steps, "online_steps": config.online_steps, "final": {}}
            (path / "summary.json").write_text(json.dumps({**done, "seeds": list(run.seeds)}, indent=2) + "\n")
    _records(tree / "sweeps" / "2026-01-02_03-04-05" / RECORDS, homes)


def _metrics(path: Path, run: MadeRun, steps: Sequence[int], config: Any) -> None:
    index = ["member"] if run.values else []
    place = ["step", "phase", "update", *index, "seed", *run.values, "seconds"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*place, "critic/loss", "evaluation/success", *EVALUATION])
        for step in steps:
            phase = "offline" if step <= config.offline_steps else "online"
            for member, seed in enumerate(run.seeds):
                row = [step, phase, step, *([member] if run.values else []), seed]
                row += [numbers[member] for numbers in run.values.values()]
                success = run.success(seed + 2 * member * bool(run.values), step)
                writer.writerow([*row, step / 1000, 0.5, success, *EVALUATION.values()])


def _records(folder: Path, homes: Sequence[str]) -> None:
    """A sweep of three runs: one finished, one that failed and left its directory, one that left none."""
    folder.mkdir(parents=True)
    made = [
        (RUNS[3].overrides, homes[3], {"ending": "finished", "score": 0.5, "reason": ""}),
        (RUNS[8].overrides, homes[8], {"ending": "failed", "score": None, "reason": DIVERGED}),
        (
            ["algo=dsrl", SCENE, "task=3", "seed=1"],
            "runs/train/scene-play-task3/dsrl/seed1",
            {"ending": "failed", "score": None, "reason": "the sky has fallen: put it back"},
        ),
    ]
    for number, (words, directory, ended) in enumerate(made):
        outcome = {"directory": directory, "measure": "success", "seconds": 9.0, **ended}
        record = {"number": number, "words": list(words), "name": " ".join(words[:3]), "outcome": outcome}
        (folder / f"{number:04}.json").write_text(json.dumps({**record, "host": "machine", "pid": 1}, indent=2) + "\n")
