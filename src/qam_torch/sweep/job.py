"""Execute one run of a sweep. A launcher calls a `SweepJob` once per run, in any process on any machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from qam_torch.config import resolvers  # noqa: F401 (a launcher composes a run's config in this process)
from qam_torch.config.overrides import name_of
from qam_torch.rundir.paths import RunPaths
from qam_torch.sweep.record import Outcome, Record, failed_outcome, score_of
from qam_torch.sweep.resources import Share, environment_variables, slot
from qam_torch.sweep.run_process import GRACE_SECONDS
from qam_torch.system.machine import is_alive
from qam_torch.training.finished_run import finished_run
from qam_torch.types import QamError

__all__ = ["SweepJob"]


@dataclass(frozen=True)
class SweepJob:
    """Hydra's task function in a sweep. It executes a run in a separate process, and never raises the run's errors.

    If this sweep already started the run, e.g. on a machine that was lost, the run resumes from its checkpoint.

    Attributes:
        directory: the sweep's directory for records and logs; an absolute path, equal on all machines.
        cwd: working directory of the command. Relative paths are relative to it.
        gpus: GPUs that the runs of one machine share, as in CUDA_VISIBLE_DEVICES.
        common: overrides shared by all runs of the sweep.
        runs: number of runs of the sweep; None if the sweeper decides during the sweep.
        command: host and process id of the command. When it ends, the runs on that host end, too. None if the runs
            continue without the command.
    """

    directory: Path
    cwd: Path
    gpus: tuple[str, ...] = ()
    common: frozenset[str] = frozenset()
    runs: int | None = None
    command: tuple[str, int] | None = None

    def __call__(self, config: DictConfig) -> Outcome:
        hydra = HydraConfig.get()
        words = list(hydra.overrides.task)
        record = Record(int(hydra.job.num), words, name_of(words, self.common))
        share = Share.of(_plain(hydra.launcher), self.runs)
        alone = hydra.runtime.choices["hydra/launcher"] == "basic"
        path = Record.path(self.directory, record.number)
        try:
            settings = self._settings(config, share, begun=path.exists())
            record = replace(record, outcome=Outcome("running", settings["run_dir"]))
            summary = finished_run(RunPaths(settings["run_dir"]), settings)
            if summary is None:
                with slot(path.parent, share.at_once, record.number) as place:
                    environment = environment_variables(share, place, self.gpus)
                    record = self._run_in_process(
                        record, settings, environment, None if alone else path.with_suffix(".log")
                    )
            else:
                record = record.with_outcome(Outcome("skipped", settings["run_dir"], *score_of(summary)))
        except Exception as error:  # errors of any type: they must not stop the other runs
            record = record.with_outcome(failed_outcome(error, record.outcome.directory))
        record.write(path)
        command = self._command_here()
        if command is not None and not is_alive(command):  # a joblib worker would wait five minutes for work
            os._exit(1)
        print(record.line(), flush=True)
        return record.outcome

    def is_finished(self, config: DictConfig) -> bool:
        """Whether the run is already finished, so that calling the job skips it."""
        settings = self._settings(config, Share(), begun=False)
        try:
            return finished_run(RunPaths(settings["run_dir"]), settings) is not None
        except QamError:  # the run itself will report this error
            return False

    def _settings(self, config: DictConfig, share: Share, begun: bool) -> dict[str, Any]:
        """Return the run's resolved configuration, with an absolute `run_dir`.

        If `eval_workers` is null, it is set to the run's share of CPU threads. `num_threads` is not changed: the
        variable OMP_NUM_THREADS limits the threads, so a run may still use fewer. A run that has begun is resumed.
        """
        settings = _plain(config)
        settings["run_dir"] = str(self.cwd / Path(settings["run_dir"]).expanduser())
        if settings["eval_workers"] is None:
            settings["eval_workers"] = share.threads
        if begun:
            settings["resume"] = "auto"
        return settings

    def _command_here(self) -> int | None:
        """Return the process id of the command if it runs on this machine, otherwise None."""
        return self.command[1] if self.command is not None and self.command[0] == socket.gethostname() else None

    def _run_in_process(
        self, record: Record, settings: Mapping[str, Any], environment: Mapping[str, str], log: Path | None
    ) -> Record:
        """Execute the run in a separate process and return its record, which that process writes unless it dies."""
        path = Record.path(self.directory, record.number)
        if log is not None:
            print(f"{record.line()}; {log}", flush=True)
        started = time.monotonic()
        with _open_log(log) as output, _start_process(self.cwd, environment, output) as process:
            record = replace(record, host=socket.gethostname(), pid=process.pid)
            record.write(path)
            request = {"record": record.as_dict(), "path": str(path), "config": settings}
            _send_request(process, {**request, "command": self._command_here()})
            status = process.wait()
        ended = Record.read(path)
        if ended.outcome.ending != "running":
            return ended
        ending = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
        reason = f"its process {ending}" + ("" if log is None else f", see {log}")
        seconds = round(time.monotonic() - started, 1)
        return record.with_outcome(replace(record.outcome, ending="failed", reason=reason, seconds=seconds))


def _plain(config: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(config, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (is the memory full?)" if name == "SIGKILL" else name


@contextlib.contextmanager
def _open_log(log: Path | None) -> Iterator[IO[bytes] | None]:
    """Open the log of a run for appending. Without a log, yield None: the run then has the output of this process."""
    if log is None:
        yield None
        return
    with open(log, "ab") as file:
        yield file


def _send_request(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the process has already ended; its status is checked later
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()


@contextlib.contextmanager
def _start_process(
    cwd: Path, environment: Mapping[str, str], output: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that executes a run on request. Leaving the block ends the process.

    The process leads a separate session. It therefore does not receive signals to the launcher's processes, e.g.
    Ctrl-C or Slurm's warning before preemption. It ends when its input is closed.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "qam_torch.sweep.run_process"],
        stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=cwd, env={**os.environ, **environment},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
