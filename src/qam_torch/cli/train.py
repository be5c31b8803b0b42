"""`qam-train`: train a flow policy by Q-learning with adjoint matching, and measure it. See `qam-train --help`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qam_torch.cli.command import run_command
from qam_torch.system.errors import RUN_MEMORY, sentence_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from qam_torch.config.command_line import Command

__all__ = ["checked", "execute", "main"]


def main() -> None:
    """Entry point of `qam-train`, a Hydra application.

    Exits with status 0 if every run has results, 1 after an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    option = "skip_completed=true" if {"-m", "--multirun"} & set(sys.argv) else "resume=auto"
    resume_hint = f"the same command with {option} continues"
    sys.exit(run_command("qam-train", _main, resume_hint=resume_hint, memory_hint=RUN_MEMORY, outlives_reader=True))


def _main() -> int:
    # Imported here because it takes seconds, in which an interrupt must not end in a traceback.
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()
    return execute(checked(sys.argv[1:]))


def checked(words: Sequence[str]) -> Command:
    """Read a command line; raises QamError if a word, a key, or a value of any run is invalid.

    Args:
        words: arguments of the command line.
    """
    from qam_torch.config.command_line import parse_command_line

    return parse_command_line(words, _check)


def execute(command: Command) -> int:
    """Make the runs.

    Args:
        command: from `checked`.

    Returns:
        Exit status: 1 if a run of a sweep failed; a single run raises its error.
    """
    return _run(command) if command.sweep is None else _sweep(command)


def _run(command: Command) -> int:
    """One run in this process, or another action of Hydra's flags."""
    from omegaconf import OmegaConf, open_dict

    failure: Exception | None = None
    directory = os.getcwd()  # hydra.job.chdir may change it, but relative paths are those of the command

    def job(config: DictConfig) -> None:
        nonlocal failure
        from qam_torch.run import fit  # torch and Lightning only once the command line has been read

        try:
            OmegaConf.resolve(config)
            with contextlib.chdir(directory), open_dict(config):
                fit(config)
        except Exception as error:
            if sentence_of(error, RUN_MEMORY) is None:
                raise
            failure = error  # raised outside of Hydra, which prints several lines

    _hydra(job, [*command.flags, *command.overrides])
    if failure is not None:
        raise failure
    return 0


def _sweep(command: Command) -> int:
    """Many runs, each in its own process, and the table of outcomes."""
    from qam_torch.sweep.sweep import Sweep
    from qam_torch.system.files import absolute

    assert command.sweep is not None
    sweep = Sweep(absolute(command.sweep.runs_root), command.overrides, command.runs, command.detached)
    with sweep.reporting():
        _hydra(sweep.job, [*command.flags, *command.overrides, *sweep.hydra_overrides(command.overrides)])
    return sweep.status


def _hydra(task: Any, words: list[str]) -> None:
    import hydra

    from qam_torch.config.composition import config_directory

    sys.argv[1:] = words
    # An absolute directory, so that the command works from anywhere.
    hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="train")(task)()


def _check(config: DictConfig) -> None:
    from qam_torch.config.instantiate import check_extensions
    from qam_torch.training.settings import (
        read_settings,  # imports torch, which a command that only shows does not need
    )

    read_settings(config)
    check_extensions(config)


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    main()
