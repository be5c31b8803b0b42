"""The estimate of a run's duration, with a clock that is set by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from qam_torch.system.console import readable_time
from qam_torch.training.callbacks import duration
from qam_torch.training.callbacks.duration import DurationCallback
from qam_torch.training.schedule import Schedule


def schedule(**changes: int) -> Schedule:
    values = {"offline_steps": 1000, "online_steps": 0, "updates_per_step": 10, "num_envs": 1, "start_training": 5}
    every = {"utd_ratio": 1, "log_every": 10, "eval_every": 30, "checkpoint_every": 1000}
    return Schedule(**{**values, **every, **changes})


def message(
    plan: Schedule,
    seconds: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: int = 0,
) -> str:
    """What is printed in a run from a step on, whose trainer steps take seconds(step)."""
    callback, clock = DurationCallback(plan), 0.0
    start: Any = SimpleNamespace(datamodule=SimpleNamespace(step=step))
    callback.on_train_start(start, None)  # type: ignore[arg-type]
    monkeypatch.setattr(duration, "time", SimpleNamespace(perf_counter=lambda: clock))
    while size := plan.plan(step):
        step += size
        clock += seconds(step)
        trainer: Any = SimpleNamespace(global_step=plan.updates(step), datamodule=SimpleNamespace(step=step))
        callback.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_compilation_and_evaluations_do_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def seconds(step: int) -> float:
        return 1000.0 if step == 10 or step % 30 == 0 else 1.0

    expected = "duration: about 100 s for 1,000 updates of 100 ms, evaluations not included\n"
    assert message(schedule(), seconds, monkeypatch, capsys) == expected


def test_updates_of_both_phases_are_counted_and_steps_without_updates_are_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = schedule(online_steps=104)
    assert "about 110 s for 1,100 updates of 100 ms, evaluations and steps in the environment not" in message(
        both, lambda step: 1.0, monkeypatch, capsys
    )
    online = schedule(offline_steps=0, online_steps=1000, start_training=100)
    assert "about 3.3 min for 1,000 online steps of 200 ms, evaluations not included" in message(
        online, lambda step: 2.0 if step > 100 else 500.0, monkeypatch, capsys
    )


def test_a_run_that_continues_counts_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offline = message(schedule(), lambda step: 1.0, monkeypatch, capsys, step=700)
    assert offline.startswith("duration: about 30 s for 300 updates of 100 ms")
    both = schedule(online_steps=1000)
    online = message(both, lambda step: 2.0, monkeypatch, capsys, step=1600)
    assert online.startswith("duration: about 80 s for 400 online steps of 200 ms")


def test_a_short_run_has_no_estimate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert message(schedule(), lambda step: 0.05, monkeypatch, capsys) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0045, "4.5 ms"), (0.35, "350 ms"), (1.79, "1.8 s"), (46, "46 s"), (720, "12 min"), (12345, "3.4 hours")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert readable_time(seconds) == text
