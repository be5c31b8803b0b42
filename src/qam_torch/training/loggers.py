"""Lightning loggers that continue with a resumed run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch.loggers import TensorBoardLogger

__all__ = ["Resumable", "ResumableTensorBoardLogger"]


@runtime_checkable
class Resumable(Protocol):
    """A logger with this method is called at the start of every run; other loggers just append."""

    def resume_at(self, step: int) -> None:
        """Prepare for values of later steps only.

        Args:
            step: steps made before; values of later steps, which an interrupted run has left, will be written again.
        """
        ...


class ResumableTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, which hides events that an interrupted run has written after its checkpoint.

    Args:
        save_dir: the run directory.
        name: name of the directory of the event files in it.
        version: version of the directory below that; "" for none.
        **options: of `TensorBoardLogger`.
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
    """Open a new event file in a later second than the existing ones.

    TensorBoard reads event files in the order of their names, which begin with the second in which they were opened.
    Two files of the same second, of a run that was killed and resumed at once, could be read in the wrong order.
    """
    opened = [int(path.name.split(".")[3]) for path in events.glob("events.out.tfevents.*")]
    if opened:
        time.sleep(min(max(max(opened) + 1 - time.time(), 0.0), 1.0))
