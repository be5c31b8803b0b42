"""`python killed.py MOMENT OVERRIDE...`: a run that is killed, as by SIGKILL from outside, at a chosen moment.

update:N      before update N
save:N        in the middle of writing checkpoint N
evaluation:N  at the start of evaluation N
collect:N     before the environments' step N of the online phase
flush:N       when save N has brought the replay buffer to the disk, before any of the checkpoint is written
summary:1     when all is done but the summary
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.data.replay_log import ReplayLog
from qam_torch.inference import episodes
from qam_torch.rollout.collector import EnvironmentCollector
from qam_torch.training import fit as fit_module
from tests.helpers.runs import shorten_episodes, unrecorded


def at_call(number: int, function: Callable[..., Any], die: Callable[..., None]) -> Callable[..., Any]:
    """The function, but its call `number` (from 1) dies instead."""
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            die(*arguments)
        return function(*arguments, **options)

    return counted


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_writing(checkpoint: Any, file: Any) -> None:
    whole = io.BytesIO()
    saved(checkpoint, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    die()


def die_flushed(log: ReplayLog) -> None:
    flush(log)
    die()


saved, flush = torch.save, ReplayLog.flush

if __name__ == "__main__":
    moment, _, number = sys.argv[1].partition(":")
    shorten_episodes()
    Algorithm.update = unrecorded  # type: ignore[method-assign, assignment]
    if moment == "update":
        Algorithm.update = at_call(int(number), Algorithm.update, die)  # type: ignore[method-assign]
    elif moment == "save":
        torch.save = at_call(int(number), saved, die_writing)
    elif moment == "evaluation":
        episodes.evaluate = at_call(int(number), episodes.evaluate, die)
    elif moment == "collect":
        EnvironmentCollector.collect = at_call(int(number), EnvironmentCollector.collect, die)  # type: ignore[method-assign]
    elif moment == "flush":
        ReplayLog.flush = at_call(int(number), ReplayLog.flush, die_flushed)  # type: ignore[method-assign]
    elif moment == "summary":
        fit_module.summarize = die  # type: ignore[assignment]
    qam_torch.fit(qam_torch.compose(sys.argv[2:]))
