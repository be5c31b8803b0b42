"""The sampler as Lightning sees it: one epoch of `num_steps` trainer steps, continued where a checkpoint left it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningDataModule

from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.types import Batch, QamError

__all__ = ["OfflineData"]

Plan = Callable[[int], int]


class OfflineData(LightningDataModule):
    """Offline training data: each trainer step receives the stacked batches of the next few updates.

    transitions, horizon_length, discount, batch_size, seeds   see `ChunkSampler`
    plan       done updates -> number U of updates in the next trainer step; 0 when the run is finished
    num_steps  trainer steps of the whole run, from update 0: the length of its one epoch

    `updates_done` counts the updates drawn so far. It and the generators move when a batch is drawn, so a checkpoint
    taken between trainer steps (on_train_batch_end, say) holds exactly what the next step will draw.
    """

    def __init__(
        self,
        *,
        transitions: Transitions,
        horizon_length: int,
        discount: float,
        batch_size: int,
        seeds: Sequence[int],
        plan: Plan,
        num_steps: int,
    ) -> None:
        super().__init__()
        if num_steps < 1:
            raise QamError(f"num_steps={num_steps} is out of range: give at least 1")
        self.sampler = ChunkSampler(transitions, horizon_length, discount, batch_size, seeds)
        self.plan = plan
        self.num_steps = num_steps
        self.updates_done = 0

    def train_dataloader(self) -> ChunkLoader:
        """An iterable of batches (U, P, B, ...), with a length."""
        return ChunkLoader(self)

    def state_dict(self) -> dict[str, Any]:
        """Generators and `updates_done`, for Lightning's checkpoint."""
        return {"sampler": self.sampler.state_dict(), "updates_done": self.updates_done}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.sampler.load_state_dict(state_dict["sampler"])
        self.updates_done = int(state_dict["updates_done"])


class ChunkLoader:
    """Iterates over the batches that are still to come.

    Its length is that of the whole run, finished steps included: Lightning compares it with its own restored step
    counter to find the last step, and an iterable with a length is not prefetched, which would draw ahead of the
    checkpoint. It has `state_dict` and `load_state_dict` because Lightning otherwise takes it for one that cannot
    continue inside an epoch; the state itself is the data module's.
    """

    def __init__(self, data: OfflineData) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.num_steps

    def __iter__(self) -> Iterator[Batch]:
        data = self._data
        while (updates := data.plan(data.updates_done)) > 0:
            batch = data.sampler.sample(updates)
            data.updates_done += updates
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` compares."""
        return {"updates_done": self._data.updates_done}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Check that the data module continues from the same checkpoint."""
        if state_dict["updates_done"] != self._data.updates_done:
            raise QamError(
                f"checkpoint's data loader stands at update {state_dict['updates_done']} but its data module at "
                f"{self._data.updates_done}: the checkpoint is inconsistent, resume from another one"
            )
