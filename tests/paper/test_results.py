"""The published figures that are shipped: all there, found by any of their names, and never of a later step."""

from __future__ import annotations

import numpy as np
import pytest

import qam_torch
from qam_torch.paper import ALGOS, Figure, domain_of
from qam_torch.types import QamError

FIGURES = qam_torch.published()


def test_every_method_is_there_on_every_task() -> None:
    assert FIGURES.methods == tuple(ALGOS) and len(FIGURES.domains) == 10
    for method in FIGURES.methods:
        points = {"RLPD": 10, "RQL": 1}.get(method, 30)
        for name in ("all", *FIGURES.domains):
            assert len(FIGURES.curve(method, name).figures) == points
        for domain in FIGURES.domains:
            assert all(len(FIGURES.curve(method, domain, task).figures) == points for task in range(1, 6))


def test_a_domain_is_the_mean_of_its_tasks_and_all_that_of_the_domains() -> None:
    for method in ("QAM", "RLPD"):
        for domain in FIGURES.domains:
            tasks = [FIGURES.curve(method, domain, task).success for task in range(1, 6)]
            assert FIGURES.curve(method, domain).success == pytest.approx(np.mean(tasks, axis=0), abs=1e-4)
        domains = [FIGURES.curve(method, domain).success for domain in FIGURES.domains]
        assert FIGURES.curve(method).success == pytest.approx(np.mean(domains, axis=0), abs=1e-4)


def test_the_transcribed_results_of_rql_agree_with_one_another_and_state_their_doubts() -> None:
    curves = [FIGURES.curve("rql", domain) for domain in FIGURES.domains]
    assert FIGURES.curve("rql").success == pytest.approx(np.mean([curve.success for curve in curves]), abs=1e-3)
    for curve in curves:
        tasks = [FIGURES.curve("rql", curve.name, task).success for task in range(1, 6)]
        assert curve.success == pytest.approx(np.mean(tasks), abs=0.005 + 1e-9)
        assert curve.seeds == 4 and np.isnan([*curve.low, *curve.high]).all()
        assert "transcribed by third parties" in curve.doubts and "2606.17551" in curve.citation
        assert curve.figures[0][:2] == (1_000_000, 0)
    assert not FIGURES.curve("qam").doubts


def test_a_curve_is_in_the_order_of_time() -> None:
    curve = FIGURES.curve("QAM")
    assert curve.steps.tolist() == list(range(50_000, 1_500_001, 50_000))
    assert (np.diff(curve.offline_updates) >= 0).all() and curve.online_steps[20:].tolist() == list(
        range(50_000, 500_001, 50_000)
    )
    assert (curve.low <= curve.success).all() and (curve.success <= curve.high).all() and curve.seeds == 12
    assert curve.figures[19] == Figure(1_000_000, 0, 0.4439, 0.4358, 0.4516)


def test_all_names_of_a_thing_find_it() -> None:
    task = FIGURES.curve("QAM-E", "cube-triple-play-singletask-task2-v0")
    for method, name in (("qam_e", "cube-triple-play"), ("QAM-E", "cube-triple-play-v0")):
        assert FIGURES.curve(method, name, task=2).figures == task.figures
    assert domain_of("puzzle-4x4-play-100m-v0") == "puzzle-4x4-play"


def test_a_figure_is_at_or_below_the_step_in_its_own_phase() -> None:
    curve, online_only = FIGURES.curve("QAM"), FIGURES.curve("RLPD")

    def at(curve, *step):  # type: ignore[no-untyped-def]
        found = curve.at(*step)
        return found and found[:2]

    assert at(curve, 1_000_000) == (1_000_000, 0) and at(curve, 449_999) == (400_000, 0)
    assert at(curve, 49_999) is None
    assert at(curve, 1_000_000, 70_000) == (1_000_000, 50_000)
    assert at(curve, 1_000_000, 49_999) is None  # not the end of the offline phase
    assert at(curve, 500_000, 70_000) is None  # their online phase began later
    assert at(online_only, 0, 500_000) == (0, 500_000) and at(online_only, 1_000_000) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qame",), "no figures of method 'qame' are published: did you mean qam_e"),
        (("ppo2",), "expected one of qam, qam_f"),
        (("qam", "cube-tripel-play"), "did you mean cube-triple-play"),
        (("qam", "pointmaze-medium-navigate"), "no figures of 'pointmaze-medium-navigate' are published"),
        (("qam", "all", 2), "no figures of 'all-singletask-task2-v0' are published"),
        (("qam", "scene-play", 6), "task=6 is out of range"),
    ],
)
def test_what_is_not_there_is_reported(arguments: tuple, message: str) -> None:
    with pytest.raises(QamError, match=message):
        FIGURES.curve(*arguments)
    assert not FIGURES.has("sac")
