"""Worker processes: one answer per message, whatever a library prints, and no process that is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from qam_torch.system.machine import is_alive
from qam_torch.system.worker_process import WorkerDied, WorkerProcess

DOUBLING = """
from qam_torch.system.worker_process import answer_messages

def double(message):
    print("a library prints")
    return 2 * message

def serve():
    answer_messages(double)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "doubling.py").write_text(DOUBLING)
    monkeypatch.syspath_prepend(tmp_path)
    return "doubling"


def test_one_answer_per_message(module: str) -> None:
    with WorkerProcess(module) as worker:
        for message, answer in ((3, 6), ("ab", "abab")):
            worker.send(message)
            assert worker.receive() == answer
            os.kill(worker.pid, signal.SIGTERM)  # as a scheduler to all processes of a job
        assert os.getpgid(worker.pid) == worker.pid, "Ctrl-C does not reach it"
    worker.close()
    assert not is_alive(worker.pid)


def test_a_module_in_the_working_directory_replaces_none_of_pythons(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "types.py").write_text("raise ImportError('of the user')")
    monkeypatch.chdir(tmp_path)
    with WorkerProcess(module) as worker:
        worker.send(1)
        assert worker.receive() == 2


def test_a_killed_worker_is_reported(module: str) -> None:
    with WorkerProcess(module) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="ended with status -9"):
            worker.send(1)
            worker.receive()


def test_a_worker_whose_parent_is_interrupted_at_once_ends_quietly(
    module: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As when Ctrl-C comes between the start of the process and the first message."""

    def interrupted(worker: WorkerProcess, message: object) -> None:
        worker.close(patience=20)
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WorkerProcess(module)
    assert capfd.readouterr().err == ""
