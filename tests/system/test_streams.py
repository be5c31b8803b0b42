"""Standard streams that are missing, closed or broken."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import pytest

from qam_torch.system.streams import standard_streams


@pytest.mark.parametrize("closed", [False, True])
def test_missing_and_closed_streams_are_empty(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        stream = io.StringIO()
        stream.close()
        monkeypatch.setattr(sys, name, stream if closed else None)
    with standard_streams(lasting=False):
        print("to no reader", flush=True)
        print("to no reader", file=sys.stderr)
        assert sys.stdin.read() == ""


def broken_pipe() -> io.TextIOWrapper:
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w")


def full_disk() -> io.TextIOWrapper:
    return open("/dev/full", "w")


@pytest.mark.parametrize("broken", [broken_pipe, full_disk])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_cannot_be_written_is_dropped_where_the_work_goes_on(
    broken: Callable[[], io.TextIOWrapper], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = broken()
    monkeypatch.setattr(sys, name, stream)
    with pytest.raises(OSError), standard_streams(lasting=False):
        print("lost", file=getattr(sys, name), flush=True)
    with standard_streams(lasting=True), standard_streams(lasting=True):
        for _ in range(2):
            print("dropped", file=getattr(sys, name), flush=True)
    assert getattr(sys, name) is stream, "as before"
    stream.close()  # would fail if something were still to be written


def test_dropping_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = full_disk()
    monkeypatch.setattr(sys, "stdout", stream)
    with standard_streams(lasting=True):
        stream.buffer.raw.close()
        os.close(before := os.dup(0))
        for _ in range(3):
            print("dropped", flush=True)
        os.close(after := os.dup(0))
    assert after == before, "the lowest that is free"


def test_characters_that_the_encoding_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="iso-8859-1"))
    with standard_streams(lasting=False):
        print("ü τ", flush=True)
    assert written.getvalue() == b"\xfc \\u03c4\n"
    with pytest.raises(UnicodeEncodeError):
        print("τ", flush=True)
