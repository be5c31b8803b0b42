"""The LightningDataModule: one epoch of `num_steps` trainer steps, which continues exactly from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from qam_torch.data.observation_statistics import ObservationStatistics, observation_statistics
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.shards import Rotation, Shards
from qam_torch.data.transitions import Transitions
from qam_torch.data.window_rules import RULES
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, QamError, Work, require

__all__ = ["TrainingData", "Plan"]

Plan = Callable[[int], int]
"""Number of steps made -> number of steps in the next trainer step."""


class TrainingData(LightningDataModule):
    """Training data: each trainer step receives the batches of the next few updates.

    Offline, a trainer step of n steps gets n batches at once. Online, every environment takes one step after another:
    the transitions are stored, and then the batches of the updates that belong to them are drawn, which may be none.
    Online, the shard that was in use at the end of the offline phase is kept.

    `step` counts the updates drawn so far, and in the online phase also the environment steps. `step`, the generators
    and the environments change only when a batch is drawn, so that a checkpoint between trainer steps (e.g. in
    on_train_batch_end) has exactly the state of the next draw. The shard of an update depends on the update only, so
    that a trainer step may use several shards, and a run may continue at any update.

    Args:
        transitions: the dataset, or its `Shards`.
        horizon_length: see `ChunkWindows`.
        discount: see `ChunkWindows`.
        batch_size: see `ChunkSampler`.
        seeds: see `ChunkSampler`.
        plan: steps made -> number of steps in the next trainer step; 0 when the run is finished.
        num_steps: trainer steps of the whole run, from step 0: the length of its one epoch.
        online: the online phase after the offline phase, or None.
        window_rule: one of `window_rules.RULES`, as the method declares it.

    Raises:
        QamError: an argument is out of range, or no window of the dataset or of a file is usable.
    """

    def __init__(
        self,
        *,
        transitions: Transitions | Shards,
        horizon_length: int,
        discount: float | Sequence[float],
        batch_size: int,
        seeds: Sequence[int],
        plan: Plan,
        num_steps: int,
        online: OnlinePhase | None = None,
        window_rule: str = "qam",
    ) -> None:
        super().__init__()
        require("num_steps", num_steps >= 1, num_steps, "an integer >= 1")

        def windows(one: Transitions) -> ChunkWindows:
            made = RULES[window_rule].dataset(one, horizon_length, discount)
            made.check_usable()
            return made

        self.rotation: Rotation | None = None
        if isinstance(transitions, Shards):
            self.rotation = Rotation(transitions, windows)
            first = self.rotation.take(0)
        else:
            first = windows(transitions)
        self.sampler = ChunkSampler(first, batch_size, seeds)
        self.fingerprint = transitions.fingerprint
        self.plan = plan
        self.num_steps = num_steps
        self.online = online
        self.step = 0

    def work(self, steps: int) -> Work:
        """The work of a trainer step that makes this number of steps."""
        online = self.online
        if online is None or self.step < online.offline_steps:
            return Work(steps, [self.draw(steps)])
        each = online.steps_each
        drawn = (self.draw(each) for _ in range(0, steps, each))
        return Work(online.updates(self.step + steps) - online.updates(self.step), filter(_is_filled, drawn))

    def draw(self, steps: int) -> Batch:
        """The stacked batches (U, P, B, ...) of the next steps, online after one step in every environment.

        They do not depend on how steps are grouped.
        """
        if self.online is not None and self.step >= self.online.offline_steps:
            return self._draw_online(self.online, steps)
        pieces, end = [], self.step + steps
        while self.step < end:
            stop = end if self.rotation is None else min(end, self._take_turn(self.rotation))
            pieces.append(self.sampler.sample(stop - self.step))
            self.step = stop
        return pieces[0] if len(pieces) == 1 else Batch(*map(torch.cat, zip(*pieces, strict=True)))

    def _draw_online(self, online: OnlinePhase, steps: int) -> Batch:
        """Act, store, and then draw the batches of the updates that are due, which may be none."""
        if online.windows is None:
            self._begin(online)
        online.advance()
        before, self.step = self.step, self.step + steps
        updates = online.updates(self.step) - online.updates(before)
        return self.sampler.sample(updates) if updates else self.sampler.empty()

    def _begin(self, online: OnlinePhase) -> None:
        """Change to the replay buffer, which contains the dataset's windows and grows."""
        if self.rotation is not None:
            last = max(0, online.offline_steps - 1)
            if self.rotation.file != self.rotation.shards.file(last):
                self.sampler.windows = self.rotation.take(last)
            self.rotation.close()
        windows = self.sampler.windows
        assert isinstance(windows, ChunkWindows)
        self.sampler.windows = online.begin(windows)

    def _take_turn(self, rotation: Rotation) -> int:
        """Use the shard of the next update, read ahead, and return the first update that needs the shard after it."""
        update, shards = self.step, rotation.shards
        if rotation.file != shards.file(update):
            self.sampler.windows = rotation.take(update)
        swap = shards.next_swap(update)
        ends = self.online is not None and swap >= self.online.offline_steps
        if self.plan(swap) > 0 and not ends:  # the offline phase lasts that long
            rotation.read_ahead(update)
        return swap

    def observation_statistics(self) -> ObservationStatistics:
        """Of the dataset's observations, or of those in its first file; before anything is drawn."""
        windows = self.sampler.windows
        assert isinstance(windows, ChunkWindows)
        return observation_statistics(windows.transitions)

    def train_dataloader(self) -> ChunkLoader:
        """An iterable of `Work`, with a length."""
        return ChunkLoader(self)

    def close(self) -> None:
        """End background work; offline, drawing may continue, which starts it again."""
        if self.rotation is not None:
            self.rotation.close()
        if self.online is not None:
            self.online.close()

    def teardown(self, stage: str) -> None:
        """Lightning's hook at the end of training."""
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """Lightning's hook after training has raised or was interrupted."""
        self.close()

    def state_dict(self) -> dict[str, Any]:
        """Generators, `step` and the fingerprint of the data, for Lightning's checkpoint."""
        state = {"sampler": self.sampler.state_dict(), "step": self.step, "data": self.fingerprint}
        if self.online is not None and self.step > self.online.offline_steps:  # not where its first step has failed
            state["online"] = self.online.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a checkpoint; raises QamError if it was written with other data or another sampler."""
        if state_dict.get("data") != self.fingerprint:
            raise QamError(
                "checkpoint was written with other data: resume with the same dataset, or the same shards in the "
                "same order and the same shard_every"
            )
        self.sampler.load_state_dict(state_dict["sampler"])
        self.step = int(state_dict["step"])
        if self.online is not None and "online" in state_dict:
            self._begin(self.online)
            self.online.load_state_dict(state_dict["online"])


class ChunkLoader:
    """Iterates over the remaining trainer steps.

    Its length is that of the whole run, finished steps included: Lightning compares it with its own restored step
    counter to find the last step, and does not prefetch an iterable with a length, which would draw ahead of the
    checkpoint. It has `state_dict` and `load_state_dict` because Lightning otherwise assumes that it cannot continue
    within an epoch; the state itself is in the data module.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.num_steps

    def __iter__(self) -> Iterator[Work]:
        data = self._data
        while (steps := data.plan(data.step)) > 0:
            yield data.work(steps)

    def state_dict(self) -> dict[str, Any]:
        """The step, which `load_state_dict` compares."""
        return {"step": self._data.step}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Check that the data module continues from the same checkpoint."""
        if state_dict["step"] != self._data.step:
            raise QamError(
                f"checkpoint's data loader is at step {state_dict['step']} but its data module at "
                f"{self._data.step}: the checkpoint is inconsistent, resume from another one"
            )


def _is_filled(batch: Batch) -> bool:
    return len(batch.rewards) > 0
