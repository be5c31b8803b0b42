"""A run continued inside its one epoch, and inside any shard, draws exactly what the uninterrupted run draws."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from qam_torch.data.datamodule import TrainingData
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError, Work

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


def transitions(count: int, first: int = 0) -> Transitions:
    """Every state is its number, so that a batch says what it was drawn from."""
    states = np.arange(first, first + count, dtype=np.float32)[:, None]
    return Transitions.from_arrays(
        observations=states,
        next_observations=states + 1,
        actions=np.zeros((count, 1), np.float32),
        rewards=np.zeros(count, np.float32),
        masks=np.ones(count, np.float32),
        terminals=np.arange(count) % 100 == 99,
    )


def load(path: Path) -> Transitions:
    """Shards of different sizes."""
    return transitions(200 + 100 * int(path.stem), first=1000 * int(path.stem))


def shards(directory: Path, count: int = 4, shard_every: int = 5) -> Shards:
    files = [directory / f"{i}.npz" for i in range(count)]
    for file in files:
        file.touch()
    return Shards(files, load, shard_every)


def data(source: Transitions | Shards | None = None, seeds: tuple[int, ...] = (1, 2)) -> TrainingData:
    return TrainingData(
        transitions=transitions(400) if source is None else source,
        horizon_length=3,
        discount=0.9,
        batch_size=5,
        seeds=seeds,
        plan=plan,
        num_steps=len(steps_of_the_plan()),
    )


class Recorder(LightningModule):
    """Takes U optimizer steps per trainer step and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[torch.Tensor] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, work: Work, batch_idx: int) -> None:
        (batch,) = work.batches
        assert len(batch.observations) == work.updates
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


def fit(
    source: Transitions | Shards, ckpt_path: Path | None = None, callbacks: list[Callback] | None = None
) -> tuple[Recorder, TrainingData]:
    recorder, module = Recorder(), data(source)
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


class WholeRun(NamedTuple):
    """Where its checkpoints are, what it was drawn from, and what it was given."""

    directory: Path
    source: Transitions | Shards
    seen: list[torch.Tensor]


@pytest.fixture(scope="module", params=["resident", "shards"])
def whole_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    directory = tmp_path_factory.mktemp("checkpoints")
    source = transitions(400) if request.param == "resident" else shards(tmp_path_factory.mktemp("data"))
    recorder, module = fit(source, callbacks=[SaveEachStep(directory)])
    assert module.step == UPDATES
    return WholeRun(directory, source, recorder.seen)


def test_one_epoch_is_the_whole_run(whole_run: WholeRun) -> None:
    seen = whole_run.seen
    assert [len(observations) for observations in seen] == steps_of_the_plan() == [4, 3, 4, 3, 4, 3, 2]
    assert seen[0].shape == (4, 2, 5, 1)
    turns = [int(update.min()) // 1000 for update in torch.cat(seen)]
    shard = [0] * UPDATES if isinstance(whole_run.source, Transitions) else [u // 5 % 4 for u in range(UPDATES)]
    assert turns == [int(update.max()) // 1000 for update in torch.cat(seen)] == shard


@pytest.mark.parametrize("step", [1, 4, 5, 6, 7])
def test_continued_run_draws_what_the_whole_run_drew(whole_run: WholeRun, step: int) -> None:
    """Checkpoints are at 4, 14, 18, 21 and 23 updates; shards are exchanged at 5, 10, 15 and 20."""
    recorder, module = fit(whole_run.source, ckpt_path=whole_run.directory / f"{step}.ckpt")
    assert len(recorder.seen) == len(whole_run.seen) - step  # none at all after the last step's checkpoint
    for left, right in zip(recorder.seen, whole_run.seen[step:], strict=True):
        assert torch.equal(left, right)
    assert module.step == UPDATES


def test_continued_twice(whole_run: WholeRun, tmp_path: Path) -> None:
    fit(whole_run.source, ckpt_path=whole_run.directory / "2.ckpt", callbacks=[SaveEachStep(tmp_path)])
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["3", "4", "5", "6", "7"]
    recorder, _ = fit(whole_run.source, ckpt_path=tmp_path / "5.ckpt")
    for left, right in zip(recorder.seen, whole_run.seen[5:], strict=True):
        assert torch.equal(left, right)


def test_nothing_is_drawn_ahead() -> None:
    module = data()
    iterator = iter(module.train_dataloader())
    assert module.step == 0
    next(iterator)
    assert module.step == 4


def test_state_of_other_members_is_refused() -> None:
    with pytest.raises(QamError, match="members=2 but this run has 1"):
        data(seeds=(1,)).load_state_dict(data().state_dict())


@pytest.mark.parametrize("change", ["size", "content", "order", "count", "shard_every", "kind"])
def test_state_of_other_data_is_refused(tmp_path: Path, change: str) -> None:
    own: Transitions | Shards = shards(tmp_path)
    other: Transitions | Shards = shards(tmp_path)
    match change:
        case "size":
            own, other = transitions(400), transitions(500)
        case "content":
            own, other = transitions(400), transitions(400, first=1)
        case "order":
            other = Shards(shards(tmp_path).files[::-1], load, 5)
        case "count":
            other = shards(tmp_path, count=3)
        case "shard_every":
            other = shards(tmp_path, shard_every=6)
        case "kind":
            other = transitions(200)
    state = data(own).state_dict()
    data(own).load_state_dict(state)
    with pytest.raises(QamError, match="checkpoint was written with other data"):
        data(other).load_state_dict(state)


class Stop(Callback):
    """Ends training in the middle, with an error or as an early stop."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            trainer.should_stop = True
            if self.error is not None:
                raise self.error


@pytest.mark.slow
@pytest.mark.parametrize("end", ["planned", "early", "error", "interrupt"])
def test_no_thread_outlives_training(tmp_path: Path, end: str) -> None:
    def slow(path: Path) -> Transitions:
        time.sleep(0.3)
        return load(path)

    source = Shards(shards(tmp_path).files, slow, 5)
    error = {"error": RuntimeError("no"), "interrupt": KeyboardInterrupt()}.get(end)
    before, handler = threading.active_count(), signal.getsignal(signal.SIGINT)
    try:
        if error is None:
            recorder, _ = fit(source, callbacks=[] if end == "planned" else [Stop(None)])
            assert len(recorder.seen) == {"planned": 7, "early": 3}[end]
        else:
            with pytest.raises(SystemExit if end == "interrupt" else RuntimeError):  # as Lightning ends it
                fit(source, callbacks=[Stop(error)])
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning leaves interrupts ignored
    assert threading.active_count() == before


def test_short_episodes_are_counted_and_refused_only_where_there_are_no_others() -> None:
    module = data(transitions(201))  # episodes of 100, 100 and 1 steps
    windows = module.sampler.windows
    assert isinstance(windows, ChunkWindows)
    assert windows.short_episodes == 1 and windows(torch.arange(199)).valid.sum() == 2 * 98
    short = transitions(4)
    short.terminals[1] = True
    with pytest.raises(QamError, match=r"algo.horizon_length=3 exceeds the longest episode \(2 steps\): use 2 or less"):
        data(Transitions(short.states, short.state_rows, short.next_rows, short.actions, short.rewards, short.masks,
                         short.terminals))  # fmt: skip
