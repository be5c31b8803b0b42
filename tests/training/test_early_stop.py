"""A callback that stops training leaves a run that says how far it came, and that can be continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from tests.helpers.runs import unrecorded


class StopAfter(L.Callback):
    """Stops after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.datamodule.step >= self.steps


@pytest.mark.slow
@pytest.mark.usefixtures("short_episodes")
def test_a_stopped_run_is_unfinished_and_continues(
    tiny: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    words = tiny(tmp_path / "run", "offline_steps=40", "checkpoint_every=40", "resume=auto", "logger=csv")
    stopped = qam_torch.fit(qam_torch.compose(words), callbacks=[StopAfter(10)])
    assert stopped.summary["updates"] == stopped.summary["offline_steps"] == 10
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["qam_torch"]["step"] == 10
    whole = qam_torch.fit(qam_torch.compose(words))
    assert whole.resumed and whole.summary["updates"] == 40
