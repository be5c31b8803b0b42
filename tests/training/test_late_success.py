"""Environments that report success only when an episode succeeds: once it is reported, all evaluations have it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.paths import RunPaths
from qam_torch.training import evaluator as evaluator_module
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.plots import RunData, success
from qam_torch.training.result_table import print_results
from tests.helpers.metric_rows import labeled

RETURNS = {"return": np.array([[3.0, 1.0]]), "length": np.ones((1, 2), np.int64)}
SILENT = Evaluation(RETURNS, 1.0)
SOLVED = Evaluation({"success": np.array([[True, False]]), **RETURNS}, 1.0)


def evaluator_of(monkeypatch: pytest.MonkeyPatch, *outcomes: Evaluation) -> Evaluator:
    """An evaluator that gives these outcomes in turn."""
    found = iter(outcomes)
    monkeypatch.setattr(evaluator_module, "evaluate_members", lambda *_: next(found))
    return Evaluator(cast(Any, lambda: None), 2, 1)


def test_success_is_kept_once_it_was_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = evaluator_of(monkeypatch, SILENT, SOLVED, SILENT)
    rates = [evaluator(cast(Any, None), step).by_member().get("success") for step in range(3)]
    assert rates[0] is None and [rates[1], rates[2]] == [[0.5], [0.0]]


def test_earlier_outcomes_of_a_run_have_it_too_and_a_resumed_run_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = cast(Any, SimpleNamespace(offline_steps=1, phase=lambda step: "offline"))
    clock, ending = cast(Any, SimpleNamespace(seconds=0.0)), cast(Any, SimpleNamespace(at_once=lambda: _Nothing()))
    callback = EvaluationCallback(schedule, evaluator_of(monkeypatch, SILENT, SOLVED), clock, ending)
    for step in (1, 2):
        monkeypatch.setattr("qam_torch.training.callbacks.evaluation.current_step", lambda trainer, step=step: step)
        callback._evaluate(cast(Any, SimpleNamespace(global_step=step)), cast(Any, SimpleNamespace(member_values={})))
    assert (callback.after_offline["success"], callback.best["success"], callback.best["step"]) == (0.0, 0.5, 2)

    checkpoint: dict[str, Any] = {}
    callback.on_save_checkpoint(cast(Any, None), cast(Any, None), checkpoint)
    resumed = EvaluationCallback(schedule, evaluator_of(monkeypatch, SILENT), clock, ending)
    resumed.on_load_checkpoint(cast(Any, None), cast(Any, None), checkpoint)
    assert resumed.evaluator(cast(Any, None), 3).success is not None


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_the_curve_begins_at_the_first_evaluation() -> None:
    step = np.array([10.0, 20.0, 20.0])
    metrics = {
        "update": step,
        "seed": np.ones(3),
        "evaluation/success": np.array([np.nan, np.nan, 0.5]),
        "evaluation/return": np.array([3.0, np.nan, 3.0]),
    }
    figure = success(RunData("", metrics, 2, ["seed=1"], [""], SOLVED))
    assert figure is not None and labeled(figure)["policy"].get_ydata().tolist() == [0.0, 0.5]


@pytest.mark.parametrize("cells", [["a=1"] * 5, ["a=1", "a=2", "a=3", "a=4", "a=5"]])
def test_the_behavior_of_a_grid_has_no_interval(cells: list[str]) -> None:
    metrics = {
        "update": np.full(5, 10.0),
        "seed": np.arange(5.0),
        "evaluation/success": np.full(5, 0.5),
        "evaluation/return": np.ones(5),
    }
    found = {"success": np.eye(5, dtype=bool), "return": np.ones((5, 5)), "length": np.ones((5, 5), np.int64)}
    outcome = Evaluation(found, 1.0)
    figure = success(RunData("", metrics, 5, cells, cells, outcome, behavior=outcome))
    assert figure is not None and len(figure.axes[0].patches) == (len(set(cells)) == 1)


def test_the_outcome_after_the_offline_phase_may_lack_success(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {
        "final": SOLVED.summary(),
        "members": [{"name": "seed=0", "seed": 0}],
        "seeds": [0],
        "episodes": 2,
        "cells": [],
        "after_offline": {"step": 1, "update": 1, "return": 0.0},
        "behavior": None,
        "updates": 1,
        "wall_seconds": 1.0,
        "online_steps": 3,
        "plots": [],
        "versions": {"capture": "recorded replay (no CUDA device)"},
    }
    print_results(RunPaths(Path("run")), summary)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "after offline" in line]
    assert line.split() == ["after", "offline", "0.00"]
