"""A run continued from a checkpoint inside its one epoch draws exactly what the uninterrupted run draws."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from qam_torch.data.module import OfflineData
from qam_torch.data.transitions import Transitions
from qam_torch.types import Batch, QamError

UPDATES = 23


def plan(done: int) -> int:
    """Up to four updates a step, but never across a multiple of seven."""
    return min(4, 7 - done % 7, UPDATES - done)


def steps_of_the_plan() -> list[int]:
    steps, done = [], 0
    while plan(done):
        steps.append(plan(done))
        done += steps[-1]
    return steps


def data(seeds: tuple[int, ...] = (1, 2)) -> OfflineData:
    count = 400
    states = np.arange(count, dtype=np.float32)[:, None]
    transitions = Transitions.from_arrays(
        observations=states,
        next_observations=states + 1,
        actions=np.zeros((count, 1), np.float32),
        rewards=np.zeros(count, np.float32),
        masks=np.ones(count, np.float32),
        terminals=np.arange(count) % 100 == 99,
    )
    return OfflineData(
        transitions=transitions,
        horizon_length=3,
        discount=0.9,
        batch_size=5,
        seeds=seeds,
        plan=plan,
        num_steps=len(steps_of_the_plan()),
    )


class Recorder(LightningModule):
    """Takes U optimiser steps per trainer step and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[torch.Tensor] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen.append(batch.observations.clone())
        optimizer: Any = self.optimizers()
        for _ in range(len(batch.observations)):
            optimizer.zero_grad()
            self.weight.square().backward()
            optimizer.step()


class SaveEachStep(Callback):
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        trainer.save_checkpoint(self.directory / f"{batch_idx + 1}.ckpt")


def fit(ckpt_path: Path | None = None, callbacks: list[Callback] | None = None) -> tuple[Recorder, OfflineData]:
    recorder, module = Recorder(), data()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*dataloader is not resumable.*")
        trainer.fit(recorder, datamodule=module, ckpt_path=ckpt_path)
    return recorder, module


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[torch.Tensor]]:
    directory = tmp_path_factory.mktemp("checkpoints")
    recorder, module = fit(callbacks=[SaveEachStep(directory)])
    assert module.updates_done == UPDATES
    return directory, recorder.seen


def test_one_epoch_is_the_whole_run(whole_run: tuple[Path, list[torch.Tensor]]) -> None:
    _, seen = whole_run
    assert [len(observations) for observations in seen] == steps_of_the_plan() == [4, 3, 4, 3, 4, 3, 2]
    assert seen[0].shape == (4, 2, 5, 1)


@pytest.mark.parametrize("step", [1, 4, 6, 7])
def test_continued_run_draws_what_the_whole_run_drew(
    whole_run: tuple[Path, list[torch.Tensor]], tmp_path: Path, step: int
) -> None:
    directory, seen = whole_run
    recorder, module = fit(ckpt_path=directory / f"{step}.ckpt")
    assert len(recorder.seen) == len(seen) - step  # none at all after the last step's checkpoint
    for left, right in zip(recorder.seen, seen[step:], strict=True):
        assert torch.equal(left, right)
    assert module.updates_done == UPDATES


def test_continued_twice(whole_run: tuple[Path, list[torch.Tensor]], tmp_path: Path) -> None:
    directory, seen = whole_run
    fit(ckpt_path=directory / "2.ckpt", callbacks=[SaveEachStep(tmp_path)])
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["3", "4", "5", "6", "7"]
    recorder, _ = fit(ckpt_path=tmp_path / "5.ckpt")
    for left, right in zip(recorder.seen, seen[5:], strict=True):
        assert torch.equal(left, right)


def test_nothing_is_drawn_ahead() -> None:
    module = data()
    iterator = iter(module.train_dataloader())
    assert module.updates_done == 0
    next(iterator)
    assert module.updates_done == 4


def test_state_of_other_members_is_refused() -> None:
    with pytest.raises(QamError, match="members=2 but this run has 1"):
        data(seeds=(1,)).load_state_dict(data().state_dict())
