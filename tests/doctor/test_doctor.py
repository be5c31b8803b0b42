"""`qam-doctor`: what it prints and when it fails. On a GPU the same checks are the suite's tests of the GPU path."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from qam_torch.algorithms.core.recording import RecordedGradients
from qam_torch.cli.doctor import main
from qam_torch.doctor import checks
from qam_torch.doctor.checks import CHECKS, Check, CheckFailed
from qam_torch.doctor.small_updates import largest_difference
from tests.helpers.runs import one_sentence

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("check", [check for check in CHECKS if not check.needs_gpu], ids=lambda check: check.name)
def test_a_check_on_the_cpu(check: Check) -> None:
    assert "equal bits" in check.run(CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_on_a_gpu(check: Check) -> None:
    assert check.run(torch.device("cuda"))


def test_differences_are_relative_to_the_largest_entry_of_a_tensor() -> None:
    first = {"a": torch.tensor([1.0, -4.0]), "b": torch.tensor([0.1])}
    assert largest_difference(first, first) == 0
    assert largest_difference(first, {**first, "a": torch.tensor([1.0, -3.0])}) == 0.25
    assert largest_difference(first, {**first, "b": torch.tensor([float("nan")])}) == float("inf")


def agrees(device: torch.device) -> str:
    return "equal bits"


def differs(device: torch.device) -> str:
    raise CheckFailed("qam 3.0e-03; at most 1e-09 is accepted")


def breaks(device: torch.device) -> str:
    raise RuntimeError("the first line\nand more")


@pytest.mark.parametrize(
    ("check", "status", "line"),
    [
        (Check("x equals y", agrees, False), 0, "  ok          x equals y: equal bits\n"),
        (Check("x equals y", differs, False), 1, "  FAILED      x equals y: qam 3.0e-03; at most 1e-09 is accepted\n"),
        (Check("x equals y", breaks, False), 1, "  FAILED      x equals y: RuntimeError: the first line\n"),
        (Check("x equals y", breaks, True), 0, "  not checked x equals y: needs a GPU\n"),
    ],
)
def test_outcomes(
    check: Check, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "CHECKS", (check,))
    assert main(["--device", "cpu", "--no-speed"]) == status
    out = capsys.readouterr().out
    assert line in out
    for topic in ("qam_torch", "packages", "cpu", "device", "precision"):
        assert f"\n  {topic} " in out
    assert f"torch {torch.__version__.partition('+')[0]}" in out
    ending = {0: "no checks failed", 1: "1 check failed"}[status]
    assert out.splitlines()[-1] == ending + (", 1 need a GPU" if check.needs_gpu else "")


@pytest.mark.slow
def test_a_recording_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    replay = RecordedGradients.__call__

    def wrong(self: RecordedGradients, *given: Any) -> Any:
        report, gradients = replay(self, *given)
        return report, [None if one is None else one * (1 + 1e-3) for one in gradients]

    monkeypatch.setattr(checks, "METHODS", ("qam",))
    monkeypatch.setattr(RecordedGradients, "__call__", wrong)
    with pytest.raises(CheckFailed, match="recording failed: a result differs by 1.0e-03"):
        checks.recorded_equals_eager(CPU)


@pytest.mark.slow
def test_a_recording_that_only_drifts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within what an algorithm accepts of its own recording, but more than rounding."""
    replay = RecordedGradients.__call__

    def wrong(self: RecordedGradients, *given: Any) -> Any:
        report, gradients = replay(self, *given)
        return report, [None if one is None else one + 1e-6 * one.abs().max() for one in gradients]

    monkeypatch.setattr(checks, "METHODS", ("qam",))
    monkeypatch.setattr(RecordedGradients, "__call__", wrong)
    with pytest.raises(CheckFailed, match="at most 1e-09 is accepted"):
        checks.recorded_equals_eager(CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda"]) == 1
    text = one_sentence(capsys.readouterr().err, "qam-doctor")
    assert "--device cuda needs a GPU that torch can use, and there is none: use --device cpu" in text


@pytest.mark.slow
def test_the_speed_of_a_small_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from qam_torch.doctor import speed

    monkeypatch.setattr(speed, "PRESETS", {"paper": speed.PRESETS["small"]})
    found = list(speed.measure_speed(CPU))
    assert [(one["population"], one["peak_memory_bytes"]) for one in found] == [(1, None)]
    assert found[0]["updates_per_s"] == pytest.approx(1000 / found[0]["ms_per_update"])
