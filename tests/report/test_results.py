"""The figures of a report: of which step and runs they are, and which published figure stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from qam_torch.paper import published
from qam_torch.report.blocks import Text
from qam_torch.report.collection import Collection, collect
from qam_torch.report.document import document
from qam_torch.report.number_format import format_published
from qam_torch.report.published_settings import departures
from qam_torch.report.results import ALL, Result
from qam_torch.report.tables import improvement, problems
from tests.helpers.made_up_runs import make_run

ENV = "cube-double-play"


def of_domain(collection: Collection, domain: str = ENV) -> list[Result]:
    return [result for group in collection.groups[domain] for result in group.results]


def of_tasks(collection: Collection, domain: str = ENV) -> list[Result]:
    return [result for group in collection.groups[domain] for one in group.by_task for result in one.results]


def steps(results: Sequence[Result]) -> list[tuple[int, int]]:
    return [result.step for result in results]


def notes(collection: Collection) -> str:
    return "\n".join(
        words for block in document(collection)[:6] if isinstance(block, Text) for words in block.paragraphs
    )


# Of which step, of which runs


@pytest.mark.slow
def test_a_domain_is_the_mean_of_its_tasks(tmp_path: Path) -> None:
    for task in range(1, 6):
        make_run(tmp_path, task=task, success=lambda seed, step, task=task: task / 10 + seed / 100)
    (found,) = of_domain(collect([tmp_path]))
    assert found.mean.value == pytest.approx(0.32) and (found.tasks, found.seeds, found.runs) == (5, (3, 3), (15, 15))
    assert found.mean.low == pytest.approx(0.32 - 0.01 * (2 / 3 / 15) ** 0.5 * 1.96, abs=0.001)
    assert [one.mean.value for one in of_tasks(collect([tmp_path]))] == pytest.approx([0.12, 0.22, 0.32, 0.42, 0.52])


@pytest.mark.slow
def test_each_phase_has_its_last_step_that_half_of_the_runs_have_come_to(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seeds=(1, 2), offline=100_000, online=100_000)
    make_run(tmp_path / "b", seeds=(3, 4), offline=100_000, online=100_000, reached=150_000, finished=False)
    make_run(tmp_path / "c", seeds=(5,), offline=100_000, online=100_000, reached=50_000, finished=False)
    (offline, online) = of_tasks(collect([tmp_path]))
    assert (offline.step, offline.runs) == ((100_000, 0), (4, 5))
    assert (online.step, online.runs) == ((100_000, 100_000), (2, 5))
    make_run(
        tmp_path / "d", seeds=(6,), offline=300_000
    )  # one that goes on alone does not drag the others' figure along
    assert steps(of_tasks(collect([tmp_path]))) == [(100_000, 0), (100_000, 100_000)]


def test_a_run_that_begins_online_has_no_figure_of_an_offline_phase(tmp_path: Path) -> None:
    make_run(tmp_path, algo="rlpd", offline=0, online=100_000)
    (found,) = of_tasks(collect([tmp_path]))
    assert found.step == (0, 100_000) and found.published is not None and found.same_step


def test_an_environment_without_tasks_or_success_is_reported_by_its_return(tmp_path: Path) -> None:
    run = make_run(tmp_path, env=ENV)
    config = (run / "config.yaml").read_text().replace("task: 1\n", "task: null\n")
    (run / "config.yaml").write_text(config.replace("dataset: cube-double-play-v0", "dataset: pendulum/random-v0"))
    metrics = run / "metrics.csv"
    metrics.write_text("\n".join(line.replace("0.5", "") for line in metrics.read_text().splitlines()) + "\n")
    collection = collect([tmp_path])
    (found,) = of_domain(collection, "pendulum/random-v0")
    assert found.group.measure == "return" and found.mean.value == -1.0 and found.published is None
    assert of_tasks(collection, "pendulum/random-v0") == []


def test_where_any_run_reports_success_no_report_means_none(tmp_path: Path) -> None:
    """An environment may report success only when an episode succeeds; the return, -1, is then not a score."""
    make_run(tmp_path, seeds=(1, 2), success=lambda seed, step: 1.0 if seed == 1 and step > 50_000 else math.nan)
    make_run(tmp_path, seeds=(3,), success=math.nan)
    make_run(tmp_path, algo="fql", success=math.nan)
    collection = collect([tmp_path])
    fql, qam = collection.groups[ENV]
    assert (qam.measure, fql.measure) == ("success", "success")
    found = {step: qam.scores(step)[f"{ENV}, task 1"].tolist() for step in qam.steps}
    assert found == {(50_000, 0): [0, 0, 0], (100_000, 0): [1, 0, 0]}
    assert fql.results[-1].mean.value == 0
    assert collection.evaluations.success.isna().sum() == 11, "the table of evaluations is as recorded"


@pytest.mark.slow
def test_runs_that_share_no_step_are_left_out_with_the_reason(tmp_path: Path) -> None:
    for seed, end in ((1, 30_000), (2, 40_000), (3, 50_000)):
        make_run(tmp_path, seeds=(seed,), offline=end, every=end)
    collection = collect([tmp_path])
    assert collection.groups == {} and document(collection)
    assert [row[:2] for row in problems(collection).rows] == [["left out", f"qam on {ENV}"]]
    make_run(tmp_path, task=2, seeds=range(3))
    (result,) = of_domain(collect([tmp_path]))
    assert (result.step, result.tasks, result.runs) == ((100_000, 0), 1, (3, 6))
    assert [one.group.name for one in of_tasks(collect([tmp_path]))] == [f"{ENV}, task 2"]
    assert document(collect([tmp_path]))


@pytest.mark.slow
def test_all_domains_are_pooled_for_a_method_with_one_cell_in_each(tmp_path: Path) -> None:
    for env in (ENV, "scene-play"):
        make_run(tmp_path, env=env, success=0.4 if env == ENV else 0.8)
        make_run(tmp_path, env=env, algo="fql")
    make_run(tmp_path, env=ENV, algo="fql", overrides=("algo.fql_alpha=7",))
    collection = collect([tmp_path])
    (group,) = collection.over_all
    assert (group.name, group.method) == (ALL, "qam")
    (found,) = group.results
    assert found.mean.value == pytest.approx(0.6) and (found.tasks, found.published) == (2, None)


@pytest.mark.slow
def test_all_domains_are_reported_at_steps_that_every_domain_reached(tmp_path: Path) -> None:
    """At others the figure would be that of some domains, and jump where one is lost."""
    make_run(tmp_path, env=ENV, seeds=(1, 2, 3, 4), offline=200_000, online=50_000)
    make_run(tmp_path, env="scene-play", seeds=(1, 2), offline=100_000)
    (group,) = collect([tmp_path]).over_all
    assert steps(group.results) == [(100_000, 0)]
    make_run(tmp_path, env=ENV, algo="fql", seeds=(1, 2, 3, 4), offline=60_000, every=30_000)
    make_run(tmp_path, env="scene-play", algo="fql", seeds=(1, 2))
    assert [group.method for group in collect([tmp_path]).over_all] == ["qam"]


# The published figures


@pytest.mark.slow
def test_the_published_figure_of_the_same_step_stands_beside_own_ones(tmp_path: Path) -> None:
    for task in range(1, 6):
        make_run(tmp_path, task=task, seeds=range(5), offline=200_000, success=lambda seed, step: 0.9 + 0.01 * seed)
    collection = collect([tmp_path])
    (found,) = of_domain(collection)
    theirs = published().curve("QAM", ENV).at(200_000)
    assert theirs is not None and found.published == theirs and found.same_step
    assert found.difference == pytest.approx(0.92 - theirs.success) and found.overlap is False
    assert found.goes_on == published().curve("QAM", ENV).at(1_000_000)
    assert [one.published for one in of_tasks(collection)] == [
        published().curve("QAM", ENV, task).at(200_000) for task in range(1, 6)
    ]
    assert "stops after 200k updates; the published runs continue to 0.64 after 1M updates" in notes(collection)


@pytest.mark.slow
def test_transcribed_figures_are_marked_and_have_no_interval_to_compare(tmp_path: Path) -> None:
    for task in range(1, 6):
        make_run(tmp_path, "rql", task=task, offline=1_000_000, every=500_000)
    collection = collect([tmp_path])
    results = of_domain(collection)
    assert [result.published and result.published.success for result in results] == [0.23]
    assert results[0].overlap is None and results[0].difference == pytest.approx(0.27)
    assert format_published(results[0]) == "0.23 (transcribed)"
    words = "\n".join(words for block in document(collection) if isinstance(block, Text) for words in block.paragraphs)
    assert "**Published results of RQL** are those of Oberai" in words and "released commands" in words
    make_run(tmp_path / "other")
    words = "\n".join(words for block in document(collect([tmp_path / "other"])) if isinstance(block, Text)
                      for words in block.paragraphs)  # fmt: skip
    assert "RQL" not in words


def test_intervals_that_touch_overlap_and_of_less_than_five_seeds_nothing_is_decided(tmp_path: Path) -> None:
    low, high = published().curve("QAM", ENV, 1).at(100_000)[3:]  # type: ignore[index]
    for name, rate, expected in (("a", high, True), ("b", low, True), ("c", high + 0.01, False)):
        make_run(tmp_path / name, seeds=range(5), success=rate)
        (found,) = of_tasks(collect([tmp_path / name]))
        assert found.overlap is expected
    make_run(tmp_path / "d", seeds=range(4), success=high + 0.01)
    (found,) = of_tasks(collect([tmp_path / "d"]))
    assert found.overlap is None and found.mean.bounded and found.difference is not None


def test_intervals_that_are_printed_as_touching_are_not_apart(tmp_path: Path) -> None:
    """A published interval from 0.0017 on, and own runs that never succeeded: both begin at 0.00."""
    make_run(tmp_path, algo="fql", env="puzzle-4x4-play", task=2, seeds=range(5), offline=300_000, success=0.0)
    (found,) = of_tasks(collect([tmp_path]), "puzzle-4x4-play")
    assert found.published is not None and 0 < found.published.low < 0.005
    assert found.overlap is True


def test_where_own_runs_stop_between_published_steps_both_steps_are_reported(tmp_path: Path) -> None:
    make_run(tmp_path, offline=175_000, every=25_000)
    shared, last = of_tasks(collect([tmp_path]))
    assert shared.step == (150_000, 0) and shared.same_step
    assert last.step == (175_000, 0) and last.published == shared.published and not last.same_step


def test_where_no_step_is_shared_the_published_one_before_is_taken(tmp_path: Path) -> None:
    make_run(tmp_path, offline=180_000, every=60_000, online=60_000)
    offline, online = of_tasks(collect([tmp_path]))
    assert offline.step == (180_000, 0) and offline.published is not None
    assert offline.published[:2] == (150_000, 0) and not offline.same_step
    assert online.published is None  # theirs began after a million updates
    assert "no results are published" not in notes(collect([tmp_path]))  # a task, not the domain: see below


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offline": 40_000, "every": 20_000}, "no results are published at or before 40k updates"),
        ({"offline": 100_000, "online": 50_000}, "no results are published for an online phase after 100k updates"),
    ],
)
def test_why_nothing_stands_beside_a_domain_is_reported(tmp_path: Path, arguments: dict, message: str) -> None:
    for task in range(1, 6):
        make_run(tmp_path, task=task, **arguments)
    assert message in notes(collect([tmp_path]))


def test_some_of_a_domains_tasks_are_not_compared_with_all_of_them(tmp_path: Path) -> None:
    for task in range(1, 5):
        make_run(tmp_path, task=task)
    collection = collect([tmp_path])
    assert all(found.published is None and found.tasks == 4 for found in of_domain(collection))
    assert all(found.published is not None for found in of_tasks(collection))
    assert "4 of 5 tasks cannot be compared" in notes(collection)


@pytest.mark.slow
def test_runs_made_as_published_have_no_departures_and_others_name_theirs(tmp_path: Path) -> None:
    make_run(tmp_path / "a", overrides=("experiment=paper",))
    make_run(tmp_path / "b", overrides=("experiment=paper", "algo.inv_temp=7", "batch_size=8"))
    make_run(tmp_path / "c", env="cube-quadruple-play", overrides=("experiment=paper",))
    make_run(tmp_path / "d", env="cube-single-play", name="single")
    collection = collect([tmp_path])
    found = {cell.domain: departures(cell) for cell in collection.cells if dict(cell.settings)["batch_size"] != 8}
    assert found == {ENV: {}, "cube-quadruple-play": {}, "cube-single-play": None}
    (changed,) = [cell for cell in collection.cells if dict(cell.settings)["batch_size"] == 8]
    assert departures(changed) == {"algo.inv_temp": (7.0, 1.0), "batch_size": (8.0, 256.0)}
    assert "was not run as published: 2 settings differ (`algo.inv_temp`, `batch_size`)" in notes(collection)


def test_the_small_data_set_is_a_departure_where_the_large_one_was_published(tmp_path: Path) -> None:
    make_run(tmp_path, env="cube-quadruple-play", overrides=("algo.inv_temp=1",))
    (cell,) = collect([tmp_path]).cells
    departed = departures(cell)
    assert departed is not None
    assert departed["env.dataset"] == ("cube-quadruple-play-v0", "cube-quadruple-play-100m-v0")


# Methods beside one another


def test_methods_are_compared_at_the_last_step_and_on_the_tasks_of_both(tmp_path: Path) -> None:
    make_run(tmp_path, task=1, offline=200_000, success=lambda seed, step: step / 1e6)
    make_run(tmp_path, task=2, offline=200_000, success=0.1)
    make_run(tmp_path, task=1, algo="fql", offline=100_000, success=0.1)
    make_run(tmp_path, task=2, algo="fql", offline=100_000, success=0.05)
    make_run(tmp_path, task=1, algo="rlpd", offline=0, online=50_000)
    table = improvement(collect([tmp_path]).groups[ENV], "", "")
    assert [row[:4] for row in table.rows] == [["fql", "qam", "100k updates", "2"]]
    assert table.rows[0][4] == "0.25 [0.25, 0.25]"  # a tie on one task, none better on the other


def test_methods_are_compared_at_the_end_of_each_phase(tmp_path: Path) -> None:
    make_run(tmp_path, online=50_000, success=lambda seed, step: 0.5 if step > 100_000 else 0.1)
    make_run(tmp_path, algo="fql", online=50_000, success=0.3)
    table = improvement(collect([tmp_path]).groups[ENV], "", "")
    compared = [[row[2], row[4]] for row in table.rows]  # of fql over qam
    assert compared == [["100k updates", "1.00 [1.00, 1.00]"], ["100k updates + 50k steps", "0.00 [0.00, 0.00]"]]
