"""How commands end: the exit status, and one line for an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qam_torch.cli.command import Parser, run_command
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
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("qam-x", raiser(error), again="continue") == status
    captured = capsys.readouterr()
    assert captured.err == f"{line}\n" and captured.out == ""


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(KeyError):
        run_command("qam-x", raiser(KeyError("mistake")))
    assert run_command("qam-x", lambda: 3) == 3


def test_a_parser_raises_instead_of_ending_the_process() -> None:
    with pytest.raises(QamError, match=r"unrecognized arguments: --what: see `qam-x --help`"):
        Parser(prog="qam-x").parse_args(["--what"])
