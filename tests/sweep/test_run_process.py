"""How the process of a run ends."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from qam_torch.sweep.record import Outcome
from qam_torch.sweep.run_process import _outcome
from qam_torch.system.signals import Terminated
from qam_torch.types import QamError

FULL = "the memory is full (DefaultCPUAllocator: can't allocate memory): lower batch_size, or train fewer members"


def raiser(error: BaseException) -> Callable[[], Outcome]:
    def run() -> Outcome:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), FULL),
        (MemoryError(), "the memory is full: lower batch_size, or train fewer members"),
        (QamError("data file a.npz is damaged"), "data file a.npz is damaged"),
    ],
)
def test_an_expected_error_is_one_sentence(error: Exception, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _outcome(raiser(error), "runs/a") == Outcome("failed", "runs/a", reason=reason)
    assert capsys.readouterr().err == f"qam-train: {reason}\n"


def test_an_unexpected_error_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert _outcome(raiser(KeyError("mistake")), "runs/a").reason == "KeyError: 'mistake'"
    assert capsys.readouterr().err.startswith("Traceback (most recent call last)")


def test_a_terminated_run_is_interrupted_and_its_record_names_the_checkpoint() -> None:
    outcome = _outcome(raiser(Terminated(signal.SIGTERM, "last checkpoint: a.ckpt (update 5)")), "runs/a")
    reason = "terminated by SIGTERM; last checkpoint: a.ckpt (update 5)"
    assert outcome == Outcome("interrupted", "runs/a", reason=reason)
