"""What a launcher calls for each run of a sweep, in whatever process and on whatever machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from qam_torch.experiment.finished import finished_run
from qam_torch.experiment.sweeps.outcome import Outcome, Record, failure, score_of
from qam_torch.experiment.sweeps.process import GRACE_SECONDS
from qam_torch.experiment.sweeps.sharing import Share, slot, variables
from qam_torch.types import QamError

__all__ = ["SweepJob"]


@dataclass(frozen=True)
class SweepJob:
    """Hydra's task function in a sweep: it starts the run in a process of its own, and never raises for what happens there.

    directory  of the sweep, where records and logs go; absolute, and the same on all machines
    cwd        where the command was given: what relative paths are relative to
    gpus       for the runs of one machine to share, as CUDA_VISIBLE_DEVICES names them
    runs       of the whole sweep; None = the sweeper decides as it goes

    A run that this sweep had begun before, on a machine that was taken away or died, continues from its checkpoint.
    """

    directory: Path
    cwd: Path
    gpus: tuple[str, ...] = ()
    runs: int | None = None

    def __call__(self, config: DictConfig) -> Outcome:
        hydra = HydraConfig.get()
        number, words = int(hydra.job.num), list(hydra.overrides.task)
        share = Share.of(_plain(hydra.launcher), self.runs)
        alone = hydra.runtime.choices["hydra/launcher"] == "basic"
        path = Record.path(self.directory, number)
        try:
            settings = self._settings(config, share, begun=path.exists())
            summary = finished_run(Path(settings.run_dir), settings)
            if summary is None:
                Record(number, words, Outcome("running", settings.run_dir)).write(path)
                with slot(path.parent, share.at_once, number) as place:
                    environment = variables(share, place, self.gpus)
                    return self._made(number, words, settings, environment, path.with_suffix(".log"), alone)
            found = Outcome("skipped", settings.run_dir, *score_of(summary))
        except Exception as error:  # of whatever kind, it is not the other runs' affair
            found = failure(error, str(config.run_dir))
        Record(number, words, found).write(path)
        _tell(number, words, found)
        return found

    def is_finished(self, config: DictConfig) -> bool:
        """Whether the run would be left alone."""
        settings = self._settings(config, Share(), begun=False)
        try:
            return finished_run(Path(settings.run_dir), settings) is not None
        except QamError:  # which the run will tell
            return False

    def _settings(self, config: DictConfig, share: Share, begun: bool) -> DictConfig:
        """The run's configuration, resolved, with its share of the machine and with its directory's absolute path."""
        settings = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
        assert isinstance(settings, DictConfig)
        settings.run_dir = str(self.cwd / Path(settings.run_dir).expanduser())
        for name in ("num_threads", "eval_workers"):
            if settings[name] is None:
                settings[name] = share.threads
        if begun:
            settings.resume = "auto"
        return settings

    def _made(
        self, number: int, words: Sequence[str], settings: DictConfig, environment: Mapping[str, str], log: Path, alone: bool
    ) -> Outcome:
        """Make the run in a process of its own, which writes the record itself unless it dies."""
        path = log.with_suffix(".json")
        request = {"number": number, "words": list(words), "record": str(path), "directory": settings.run_dir}
        request["config"] = OmegaConf.to_container(settings)
        if not alone:
            print(f"run {number} begins: {' '.join(words)}; {log}", flush=True)
        started = time.monotonic()
        with _output(None if alone else log) as output, _process(request, self.cwd, environment, output) as process:
            status = process.wait()
        outcome = Record.read(path).outcome
        if outcome.ending == "running":  # it has not come to say anything
            told = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
            seen = "" if alone else f", see {log}"
            outcome = replace(outcome, ending="failed", reason=f"its process {told}{seen}",
                              seconds=round(time.monotonic() - started, 1))  # fmt: skip
            Record(number, words, outcome).write(path)
        _tell(number, words, outcome)
        return outcome


def _plain(launcher: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(launcher, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (is the memory full?)" if name == "SIGKILL" else name


def _tell(number: int, words: Sequence[str], outcome: Outcome) -> None:
    score = "" if outcome.score is None else f", {outcome.measure} {outcome.score:.2f}"
    reason = f": {outcome.reason}" if outcome.reason else ""
    print(f"run {number} {outcome.ending}{score}: {' '.join(words)}{reason}", flush=True)


@contextlib.contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    """Where a run's words go: to a file that is continued, or with None to where this process's go."""
    if log is None:
        yield None
        return
    with open(log, "ab") as file:
        yield file


@contextlib.contextmanager
def _process(
    request: Mapping[str, Any], cwd: Path, environment: Mapping[str, str], output: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that makes the run; leaving, for whatever reason, ends it.

    It has a session of its own, so that signals to the launcher's processes, Ctrl-C or Slurm's warning before it takes
    the machine away, reach it only as its input closing.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "qam_torch.experiment.sweeps.process"],
        stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=cwd, env={**os.environ, **environment},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # its end is told by its status
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
