"""How commands end: the exit status, and one line for an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from qam_torch.cli.command import ListOf, Parser, run_command
from qam_torch.system.signals import Terminated
from qam_torch.types import QamError


def raiser(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (QamError("x=1 is out of range"), 1, "qam-x: x=1 is out of range"),
        (OSError("no space"), 1, "qam-x: no space"),
        (KeyboardInterrupt(), 130, "qam-x: interrupted; continue"),
        (MemoryError("Unable to allocate 1 TiB"), 1, "qam-x: the memory is full (Unable to allocate 1 TiB): use less"),
        (MemoryError(), 1, "qam-x: the memory is full: use less"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 1, "qam-x: the GPU's memory is full (CUDA): use less"),
        (
            RuntimeError("CUDA error: out of memory"),
            1,
            "qam-x: the GPU's memory is full (CUDA error: out of memory): use less",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
            1,
            "qam-x: the GPU's memory is full (CUDA error: CUBLAS_STATUS_ALLOC_FAILED): use less",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            1,
            "qam-x: the memory is full (DefaultCPUAllocator: can't allocate memory): use less",
        ),
        (SystemExit("no"), 1, "no"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("qam-x", raiser(error), resume_hint="continue", memory_hint="use less") == status
    captured = capsys.readouterr()
    assert captured.err == f"{line}\n" and captured.out == ""


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (Terminated(signal.SIGTERM), 143), (SystemExit("no"), 1)]
)
def test_the_status_remains_where_the_output_cannot_be_written(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)

    def command() -> int:
        print("to no reader")
        raise error

    assert run_command("qam-x", command) == status
    stream.close()  # Python does the same at its end, and would fail if something were still to be written


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(KeyError):
        run_command("qam-x", raiser(KeyError("mistake")))
    assert run_command("qam-x", lambda: 3) == 3


def test_a_parser_raises_instead_of_ending_the_process() -> None:
    with pytest.raises(QamError, match=r"unrecognized arguments: --what: see `qam-x --help`"):
        Parser(prog="qam-x").parse_args(["--what"])


def test_an_unknown_option_names_the_nearest_also_of_a_verb() -> None:
    parser = Parser(prog="qam-x")
    parser.add_subparsers().add_parser("verb").add_argument("--episodes")
    with pytest.raises(QamError, match="unrecognized arguments: --episods, did you mean --episodes: see"):
        parser.parse_args(["verb", "--episods"])


@pytest.mark.parametrize("words", [["--n", "1", "2"], ["--n", "1,2"], ["--n", "1,", "2"], ["--n=1,2"]])
def test_a_list_has_spaces_or_commas(words: list[str]) -> None:
    parser = Parser(prog="qam-x")
    parser.add_argument("--n", action=ListOf, kind=int, default=[7])
    assert parser.parse_args(words).n == [1, 2]
    assert parser.parse_args([]).n == [7]
    for wrong in (["--n", "1,x"], ["--n", ","]):
        with pytest.raises(QamError, match="argument --n: (invalid value '1,x'|expected at least one value)"):
            parser.parse_args(wrong)


COMMAND = """
import subprocess, sys
from qam_torch.cli.command import run_command
def many():
    for number in range(100_000):
        print(number)
    print("the end", file=sys.stderr)
    return 0
def child():
    print("out", flush=True)
    return subprocess.run([sys.executable, "-c", "import sys; sys.exit(None in (sys.stdout, sys.stderr))"]).returncode
def broken():
    raise BrokenPipeError("of another process")
"""


def ended(call: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A process that ends as `run_command("qam-x", ...)` does."""
    words = [sys.executable, "-c", f"{COMMAND}\nsys.exit(run_command('qam-x', {call}))"]
    return subprocess.run(words, text=True, stderr=subprocess.PIPE, timeout=60, **options)


@pytest.mark.parametrize(("option", "status", "message"), [("", 1, ""), (", outlives_reader=True", 0, "the end\n")])
def test_a_reader_that_ends(option: str, status: int, message: str) -> None:
    with subprocess.Popen(["head", "-n1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as head:
        process = ended(f"many{option}", stdout=head.stdin)
        assert head.stdin is not None
        head.stdin.close()
    assert (process.returncode, process.stderr) == (status, message)


def test_a_pipe_to_another_process_is_no_reader() -> None:
    assert (ended("broken").returncode, ended("broken").stderr) == (1, "qam-x: of another process\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_one_line(number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        signal.raise_signal(number)
        return 0

    assert run_command("qam-x", command, resume_hint="the same command continues") == status
    assert capsys.readouterr().err == f"qam-x: terminated by {number.name}; the same command continues\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_missing_streams(closed: str) -> None:
    script = f"{COMMAND}\nsys.exit(run_command('qam-x', child))"
    process = subprocess.run(["bash", "-c", f'"$0" -c "$1" {closed}', sys.executable, script], capture_output=True)
    assert process.returncode == 0 and b"Traceback" not in process.stderr


def test_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        process = ended("many", stdout=full)
    assert process.returncode == 1
    assert process.stderr == "qam-x: [Errno 28] No space left on device\n"
