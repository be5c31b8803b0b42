"""Execute one run of a sweep in a separate process. A crash or a full memory then does not affect other runs.

The request is one line on standard input. When the input is closed, the run saves a checkpoint and ends, as after
SIGTERM. The parent closes the input to stop the run. The operating system closes it if the parent is killed. The run
also ends when the command of the sweep ends, because launcher processes between the command and this process may
outlive the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qam_torch.sweep.record import Outcome, Record, failed_outcome, score_of
from qam_torch.system.errors import RUN_MEMORY, sentence_of
from qam_torch.system.machine import is_alive
from qam_torch.system.signals import termination_raises

__all__ = ["GRACE_SECONDS", "main"]

POLL_SECONDS = 1.0
"""Seconds between two checks of whether the command is alive."""

GRACE_SECONDS = 20.0
"""Seconds after which an interrupted run is killed if it has not ended."""


def main() -> int:
    """Execute the run and write its outcome to its record. Return 0 if the run has results, 1 otherwise."""
    request = json.loads(sys.stdin.buffer.readline())
    record, started = Record.from_dict(request["record"]), time.monotonic()
    with termination_raises():
        threading.Thread(target=_end_when_abandoned, args=(request["command"],), daemon=True).start()
        outcome = _outcome(lambda: _fit(request["config"]), record.outcome.directory)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        seconds = round(time.monotonic() - started, 1)
        record.with_outcome(replace(outcome, seconds=seconds)).write(Path(request["path"]))
    return 0 if outcome.score is not None else 1


def _fit(config: dict[str, Any]) -> Outcome:
    # These imports take seconds. They are here so that an interrupt during them is recorded as the outcome.
    from omegaconf import OmegaConf

    from qam_torch.run import fit
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()
    result = fit(OmegaConf.create(config))
    score, measure = score_of(result.summary)
    ending = "skipped" if result.algorithm is None else "resumed" if result.resumed else "finished"
    return Outcome(ending, str(result.directory), score, measure)


def _outcome(run: Callable[[], Outcome], directory: str) -> Outcome:
    try:
        return run()
    except KeyboardInterrupt as error:
        return Outcome("interrupted", directory, reason=str(error))
    except Exception as error:  # errors of any type are recorded as the outcome
        if sentence_of(error, RUN_MEMORY) is None:
            traceback.print_exc()
        outcome = failed_outcome(error, directory)
        print(f"qam-train: {outcome.reason}", file=sys.stderr, flush=True)
        return outcome


def _end_when_abandoned(command: int | None) -> None:
    """End the run with a checkpoint when its input closes or the command ends; kill it after the grace period."""
    with contextlib.suppress(OSError):
        while command is None or is_alive(command):
            # sys.stdin is not used, because its lock would be held when the interpreter ends. On Windows, select does
            # not work with pipes, so the read blocks.
            if (sys.platform == "win32" or select.select([0], [], [], POLL_SECONDS)[0]) and not os.read(0, 1024):
                break
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
