"""Which runs a report finds, what it says of each, and which evaluations count."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from qam_torch.report.collection import Collection, collect
from qam_torch.report.evaluations import STEP, members_of
from qam_torch.report.settings import cell_of, labels
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError
from tests.helpers.made_up_runs import make_run
from tests.helpers.runs import Fit


def statuses(collection: Collection) -> dict[str, tuple[str, str]]:
    """Run -> status and why."""
    return {run.name: (run.status, run.why) for run in collection.runs}


def counted(collection: Collection) -> list[tuple[str, int]]:
    """(label of the cell, seed) of what counts."""
    members = members_of(collection.counted)
    return sorted(zip(members.cell, members.seed, strict=True))


# Where runs are


def test_runs_are_found_at_any_depth_and_each_once(tmp_path: Path) -> None:
    one = make_run(tmp_path / "a" / "b", task=1)
    two = make_run(tmp_path / "a", task=2)
    (two / "checkpoints").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    found = collect([tmp_path / "a", one, tmp_path])
    assert sorted(run.path for run in found.runs) == sorted([one, two])
    assert [run.name for run in collect([one]).runs] == [one.name]
    assert [run.name for run in collect([tmp_path / "a"]).runs] == [f"b/{one.name}", two.name]


def test_runs_behind_links_are_called_by_where_they_were_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "disk", name="seed1")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "disk")
    (found,) = collect([tmp_path / "runs"]).runs
    assert (found.name, found.path) == ("linked/seed1", run)
    (tmp_path / "other").symlink_to(run)
    assert [one.name for one in collect([tmp_path / "other"]).runs] == ["other"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "no directory '.*nowhere': give run directories"),
        ("file", "'.*file' is a file: give the run's directory"),
        ("empty", "no run in or below '.*empty': expected a config.yaml"),
    ],
)
def test_a_path_without_runs_is_an_error(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    make_run(tmp_path / "runs")
    with pytest.raises(QamError, match=message):
        collect([tmp_path / "runs", tmp_path / path])


# What is said of each


def test_a_run_that_is_not_finished_says_how_far_it_came(tmp_path: Path) -> None:
    run = make_run(tmp_path, finished=False, offline=100_000, online=100_000, reached=150_000)
    found = collect([tmp_path])
    assert statuses(found)[run.name] == ("unfinished", "planned: 100,000 updates and 100,000 online steps")
    assert found.runs[0].reached == "online step 50,000" and len(counted(found)) == 3


def test_a_finished_run_that_is_made_longer_is_not_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path, offline=200_000, reached=150_000)
    (run / "summary.json").write_text(json.dumps({"offline_steps": 100_000, "online_steps": 0, "final": {}}))
    assert collect([tmp_path]).runs[0].status == "unfinished"


Damage = Callable[[Path], object]

BROKEN: dict[str, tuple[Damage, str]] = {
    "no config": (lambda run: (run / "config.yaml").unlink(), "it has no config.yaml"),
    "torn config": (lambda run: (run / "config.yaml").write_text("algo: {"), "its config.yaml cannot be read"),
    "another config": (lambda run: (run / "config.yaml").write_text("a: 1"), "its config.yaml is not that of a run"),
    "binary config": (lambda run: (run / "config.yaml").write_bytes(b"\xff\xfe\x00"), "its config.yaml cannot be read"),
    "torn metrics": (lambda run: tear(run, 3, "50000,off"), "line 4 of 'metrics.csv' is damaged"),
    "words in metrics": (lambda run: tear(run, 1, "many"), "line 2 of 'metrics.csv' is damaged"),
    "no header": (lambda run: tear(run, 0, "1,2,3"), "'metrics.csv' has no header"),
    "binary metrics": (lambda run: (run / "metrics.csv").write_bytes(b"\xff\x00"), "'metrics.csv' cannot be read"),
    "success of 7": (lambda run: cell(run, "evaluation/success", "7"), "a success outside of [0, 1]"),
    "no seed": (lambda run: cell(run, "seed", ""), "rows without a seed"),
    "no evaluation": (lambda run: keep_lines(run, 1), "it has no evaluation"),
    "no metrics": (lambda run: (run / "metrics.csv").unlink(), "it has no evaluation"),
    "empty": (lambda run: [path.unlink() for path in run.iterdir()], "the directory is empty"),
    "diverged": (lambda run: fail(run), "it failed: seed=1 diverged"),
}


def tear(run: Path, line: int, text: str) -> None:
    lines = (run / "metrics.csv").read_text().splitlines()
    lines[line] = text
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")


def cell(run: Path, column: str, text: str) -> None:
    header, first, *_ = (run / "metrics.csv").read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = text
    tear(run, 1, ",".join(cells))


def keep_lines(run: Path, count: int) -> None:
    lines = (run / "metrics.csv").read_text().splitlines()
    (run / "metrics.csv").write_text("\n".join(lines[:count]) + "\n")


def fail(run: Path) -> None:
    keep_lines(run, 1)
    (run / "failed.txt").write_text("seed=1 diverged; last good checkpoint: none was saved yet\n")


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_run_is_listed_with_its_reason_and_takes_no_other_along(tmp_path: Path, damage: str) -> None:
    good, bad = make_run(tmp_path, task=1), make_run(tmp_path, task=2)
    function, why = BROKEN[damage]
    function(bad)
    found = collect([tmp_path])
    status, reason = statuses(found)[bad.name]
    assert status == "broken" and why in reason and str(tmp_path) not in reason
    assert statuses(found)[good.name] == ("finished", "") and len(counted(found)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_cannot_be_read_is_a_broken_run(tmp_path: Path) -> None:
    make_run(tmp_path)
    barred = tmp_path / "barred"
    barred.mkdir(mode=0)
    assert statuses(collect([tmp_path]))["barred"][0] == "broken"
    barred.chmod(0o700)


def test_a_run_that_failed_after_evaluations_says_why_and_they_count(tmp_path: Path) -> None:
    run = make_run(tmp_path, finished=False, reached=50_000)
    (run / "failed.txt").write_text("critic/loss is infinite or NaN; last good checkpoint: x\n")
    found = collect([tmp_path])
    assert statuses(found)[run.name] == ("unfinished", "failed: critic/loss is infinite or NaN") and counted(found)


def test_a_torn_last_line_and_a_damaged_summary_cost_nothing_but_the_word_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with open(run / "metrics.csv", "a") as file:
        file.write("150000,offl")
    (run / "summary.json").write_text("{")
    found = collect([tmp_path])
    assert statuses(found)[run.name] == ("unfinished", "its summary.json is damaged")
    assert found.runs[0].reached == "update 100,000" and len(counted(found)) == 3


def test_a_run_without_metrics_counts_with_its_last_evaluation(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "metrics.csv").unlink()
    final = {"success_by_seed": [0.5, 0.7], "return_by_seed": [-1, -2]}
    members = [{"name": f"seed={seed},inv_temp=3", "seed": seed, "inv_temp": 3.0} for seed in (4, 5)]
    summary = {"offline_steps": 100_000, "online_steps": 0, "updates": 100_000, "final": final, "members": members}
    (run / "summary.json").write_text(json.dumps(summary))
    found = collect([tmp_path])
    rows = found.counted
    assert rows[["seed", "name", "success"]].values.tolist() == [
        [4, "seed=4,inv_temp=3", 0.5],
        [5, "seed=5,inv_temp=3", 0.7],
    ]
    assert rows[STEP].values.tolist() == [[100_000, 0]] * 2


@pytest.mark.slow
def test_what_real_runs_leave_is_read(
    finished: RunResult, population: RunResult, tiny_fit: Fit, tmp_path: Path
) -> None:
    grid = tiny_fit(
        tmp_path / "grid", "seeds=[1,2]", "population.inv_temp=[1,10]", "online_steps=20", "start_training=10"
    )
    found = collect([finished.directory, population.directory, grid.directory])
    assert {run.status for run in found.runs} == {"finished"} and not any(run.why for run in found.runs)
    own = found.counted[found.counted.run.str.endswith("grid")]
    assert list(own.name.unique()) == [f"seed={s},inv_temp={v}" for v in (1, 10) for s in (1, 2)]
    first = own[own.member == 0]
    assert first[STEP].values.tolist() == [[20, 0], [40, 0], [40, 20]]
    assert first.updates.tolist() == [20, 40, 51]
    final = members_of(own).success.tolist()
    assert final == grid.summary["final"]["success_by_seed"]
    assert (
        found.runs[-1].reached == "online step 20" and found.runs[0].place.name == "pointmaze-medium-navigate, task 1"
    )


# What counts


@pytest.mark.slow
def test_settings_tell_cells_apart_and_places_lengths_and_cadences_do_not(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seeds=(1,))
    make_run(tmp_path / "b", seeds=(2,), offline=200_000, overrides=("eval_episodes=7", "num_threads=1", "resume=auto"))
    make_run(tmp_path / "c", seeds=(1,), overrides=("algo.inv_temp=7",))
    make_run(tmp_path / "d", seeds=(1,), overrides=("algo.inv_temp=0.5",))
    make_run(tmp_path / "e", seeds=(1,), algo="fql")
    found = collect([tmp_path])
    assert counted(found) == [
        ("fql", 1),
        ("qam, inv_temp=0.3", 1),
        ("qam, inv_temp=0.3", 2),
        ("qam, inv_temp=0.5", 1),
        ("qam, inv_temp=7", 1),
    ]


def test_a_member_of_a_grid_is_in_the_cell_of_its_lone_run(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seeds=(1, 2, 1, 2), population={"inv_temp": [3, 3, 10, 10]})
    make_run(tmp_path / "b", seeds=(5,), overrides=("algo.inv_temp=10",))
    found = collect([tmp_path])
    assert counted(found) == [(f"qam, inv_temp={v}", s) for v, s in ((10, 1), (10, 2), (10, 5), (3, 1), (3, 2))]


@pytest.mark.slow
def test_where_much_differs_cells_are_numbered_and_no_two_share_a_name(tmp_path: Path) -> None:
    for i in range(3):
        changed = [f"algo.lr={i + 1}e-4", f"algo.rho={i}", f"batch_size={i + 8}", f"algo.num_qs={i + 2}"]
        make_run(tmp_path / str(i), overrides=changed)
    names = set(collect([tmp_path]).counted.cell)
    assert len(names) == 3 and all(name.startswith("qam #") for name in names)


def test_experiments_are_part_of_the_name_where_they_differ(tmp_path: Path) -> None:
    make_run(tmp_path / "a", overrides=("experiment=quickstart",))
    make_run(tmp_path / "b")
    assert set(collect([tmp_path]).counted.cell) == {"qam (quickstart)", "qam (default)"}


def test_the_same_seed_of_the_same_settings_counts_once_from_where_it_came_furthest(tmp_path: Path) -> None:
    short, far = make_run(tmp_path / "a", seeds=(1, 2)), make_run(tmp_path / "b", seeds=(1,), offline=200_000)
    alone = make_run(tmp_path / "c", seeds=(2,), reached=50_000, finished=False)
    found = collect([tmp_path])
    runs = statuses(found)
    assert runs[f"a/{short.name}"] == ("finished", f"seed=1 is counted from b/{far.name}, which has the same settings")
    assert runs[f"c/{alone.name}"][0] == "left out" and f"is counted from a/{short.name}" in runs[f"c/{alone.name}"][1]
    members = members_of(found.counted)
    assert sorted(zip(members.seed, members.run.str[0], strict=True)) == [(1, "b"), (2, "a")]


def test_member_of_a_grid_that_counts_from_another_run_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, overrides=("algo.inv_temp=3",), seeds=(1, 2), name="alone")
    make_run(tmp_path, seeds=(1, 2, 1, 2), population={"inv_temp": (1, 1, 3, 3)}, name="grid")
    reason_of_grid = "seed=1,inv_temp=3, seed=2,inv_temp=3 is counted from alone, which has the same settings"
    assert statuses(collect([tmp_path]))["grid"] == ("finished", reason_of_grid)


def test_an_earlier_run_of_the_same_name_does_not_count_unless_it_is_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="seed1", success=0.5, offline=50_000)
    shutil.copytree(run, tmp_path / "seed1.old-1")
    runs = statuses(collect([tmp_path]))
    assert runs["seed1.old-1"] == ("left out", "an earlier run, since repeated as seed1") and runs["seed1"][1] == ""
    shutil.rmtree(run)
    assert statuses(collect([tmp_path]))["seed1.old-1"] == ("finished", "")


@pytest.mark.slow
def test_runs_from_checkpoints_of_their_own_are_pooled_and_those_of_other_runs_are_not(tmp_path: Path) -> None:
    for kind, seed in (("qam", 1), ("qam", 2), ("other", 3)):
        start = f"init_from=runs/{kind}/seed{seed}/checkpoints/last.ckpt"
        make_run(tmp_path / f"{kind}{seed}", seeds=(seed,), online=50_000, overrides=(start,), name="run")
    groups = collect([tmp_path]).groups["cube-double-play"]
    assert sorted(sorted(set(group.rows.seed)) for group in groups) == [[1, 2], [3]]


# What is missing


def test_seeds_and_tasks_that_others_have_are_missing(tmp_path: Path) -> None:
    make_run(tmp_path, task=1, seeds=(1, 2, 3))
    make_run(tmp_path, task=2, seeds=(1, 3))
    make_run(tmp_path, task=1, algo="fql", seeds=(1,))
    found = collect([tmp_path]).missing
    assert [one.what for one in found] == [
        "fql on cube-double-play, task 2: every seed",
        "qam on cube-double-play, task 2: seed 2",
    ]


def test_what_is_broken_is_not_missing_too(tmp_path: Path) -> None:
    make_run(tmp_path, task=1)
    keep_lines(make_run(tmp_path, task=2), 1)
    assert collect([tmp_path]).missing == []


def record(root: Path, number: int, directory: Path | str, ending: str, reason: str = "") -> None:
    """What a sweep writes of one of its runs."""
    folder = root / "sweeps" / "2026-01-01_00-00-00" / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    outcome = {"ending": ending, "directory": str(directory), "reason": reason}
    content = {"number": number, "words": ["seed=1"], "name": f"seed={number}", "outcome": outcome}
    (folder / f"{number:04d}.json").write_text(json.dumps(content))


def test_a_sweep_tells_why_its_runs_failed_and_which_left_nothing(tmp_path: Path) -> None:
    good, cut = make_run(tmp_path, task=1), make_run(tmp_path, task=2, finished=False)
    record(tmp_path, 0, good, "finished")
    record(tmp_path, 1, cut, "failed", "its process was killed")
    record(tmp_path, 2, tmp_path / "never", "failed", "no data")
    found = collect([tmp_path])
    assert statuses(found)[cut.name][1] == "planned: 100,000 updates; failed in its sweep: its process was killed"
    assert statuses(found)[good.name] == ("finished", "")
    assert [(one.what, one.why) for one in found.missing] == [("run seed=2", "failed: no data")]


def test_runs_with_another_class_are_labeled_by_its_name(tmp_path: Path) -> None:
    ancestral = ("algo/discretization=ancestral", "algo.solver=midpoint")
    for overrides in ((), ancestral):
        make_run(tmp_path, overrides=overrides, seeds=(1,))
    cells = {cell_of(yaml.safe_load(path.read_text()), {}): {"default"} for path in tmp_path.rglob("config.yaml")}
    assert sorted(labels(cells).values()) == [
        "qam, discretization=AncestralDiscretization, solver=midpoint, spread=1",
        "qam, discretization=ShiftedDiscretization, solver=euler",
    ]
