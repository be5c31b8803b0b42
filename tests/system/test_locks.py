"""A lock ends with its process, waiting for it may have a limit, and it costs nothing where no locks exist."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qam_torch.system.locks import exclusive

HOLDER = """
import sys, time
from pathlib import Path
from qam_torch.system.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of tmp_path/x."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "x"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_waiting_ends_at_the_time_limit_or_with_the_holder(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError), exclusive(tmp_path / "x", 0.3):
        pass
    assert 0.3 <= time.monotonic() - started < 5
    holder.send_signal(signal.SIGKILL)
    with exclusive(tmp_path / "x", 10):
        assert [path.name for path in tmp_path.iterdir()] == [".x.lock"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_all_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with exclusive(tmp_path / "x"), exclusive(tmp_path / "x", 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError), exclusive(tmp_path / "file" / "x"):
        pass


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusive(tmp_path / "x"):
        raise KeyError
    with exclusive(tmp_path / "x", 1):
        pass
