"""Lightning loggers for runs that are resumed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch.loggers import TensorBoardLogger

__all__ = ["Resumable", "ResumableTensorBoardLogger"]


@runtime_checkable
class Resumable(Protocol):
    """A logger with the method `resume_at`, which is called at the start of every run. Other loggers just append."""

    def resume_at(self, step: int) -> None:
        """Prepare the logger for the values of the steps after `step`.

        Args:
            step: steps made before. If an interrupted run has logged values of later steps, they will be logged again.
        """
        ...


class ResumableTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger. It hides events that an interrupted run wrote after its checkpoint.

    Args:
        save_dir: path of the run directory.
        name: name of the directory of event files in the run directory.
        version: name of a directory below that; "" for none.
        **options: further arguments of `TensorBoardLogger`.
    """

    def __init__(
        self, save_dir: str | Path, name: str = "tensorboard", version: int | str = "", **options: Any
    ) -> None:
        super().__init__(save_dir, name=name, version=version, **options)
        self._arguments = {"save_dir": save_dir, "name": name, "version": version, **options}

    def resume_at(self, step: int) -> None:
        """See `Resumable.resume_at`."""
        _wait_for_next_second(Path(self.log_dir))
        super().__init__(**self._arguments, purge_step=step + 1)


def _wait_for_next_second(events: Path) -> None:
    """Wait so that the next event file is opened in a later second than the existing files.

    TensorBoard reads event files in the order of their names. A name begins with the second in which the file was
    opened. If a run is killed and resumed within a second, its two files could be read in the wrong order.
    """
    opened = [int(path.name.split(".")[3]) for path in events.glob("events.out.tfevents.*")]
    if opened:
        time.sleep(min(max(max(opened) + 1 - time.time(), 0.0), 1.0))
