"""Windows by the rule of Reversal Q-Learning: drawn by episode, with one mask per step."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.data.random_numbers import draw_each_update
from qam_torch.data.windows import ChunkWindows, WindowTable
from qam_torch.types import Batch, QamError

__all__ = ["EpisodeTable", "EpisodeWindows", "draw_by_episode"]


class EpisodeTable(WindowTable):
    """A table of windows whose validity column holds n, the number of their steps inside the episode."""

    def gather(self, starts: Tensor) -> Batch:
        """Return the windows at `starts` as a batch, in which valid (..., h) is 1 for each of the first n steps."""
        batch = super().gather(starts)
        return batch._replace(valid=(self._offsets() < batch.valid[..., None]).to(batch.valid.dtype))

    def _actions_at(self, starts: Tensor) -> Tensor:
        lasts = self.columns[1].index_select(0, starts.reshape(-1)).long() - 1
        places = starts.reshape(-1, 1) + torch.minimum(self._offsets(), lasts[:, None])
        actions = self.actions.index_select(0, places.reshape(-1))
        return actions.reshape(*starts.shape, self.horizon_length * self.actions.shape[1])

    def _offsets(self) -> Tensor:
        return torch.arange(self.horizon_length, device=self.actions.device)


class EpisodeWindows(ChunkWindows):
    """Windows of a dataset, one per transition. Those that start at the last transition of an episode are never drawn.

    A window that starts at transition i, in an episode whose last transition is e, has n = min(h, e - i + 1) steps. Its
    row of a batch contains:

    - the mask of its last step, i + n - 1, alone;
    - as next observation, the state in which transition min(i + h, e) acts. If a full window ends with its episode,
      this is one step too early, as in the authors' code;
    - valid (..., h), which is 1 for the first n steps;
    - the actions a_{i + min(j, n - 1)}, so the last action is repeated after the end;
    - the rewards of `ChunkWindows`.

    Args:
        transitions: see `ChunkWindows`.
        horizon_length: see `ChunkWindows`.
        discount: see `ChunkWindows`.

    Raises:
        QamError: see `ChunkWindows`.

    Source: Oberai, Park & Levine 2026, the sampler of the authors' code.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.short_episodes = 0  # their windows are used, with fewer steps
        ends = self.transitions.episode_ends.unique_consecutive()
        lengths = torch.diff(ends, prepend=ends.new_tensor([-1]))
        self.firsts, self.lengths = (ends - lengths + 1)[lengths > 1], lengths[lengths > 1]

    def check_usable(self) -> None:
        """Raise QamError if no episode has two transitions."""
        if len(self.firsts) == 0:
            raise QamError(
                "every episode has a single transition, but algo.windows=rql needs two: give longer episodes, or "
                "algo.windows=qam"
            )

    def _count_starts(self) -> int:
        return self.transitions.num_transitions

    def _tabulate(self) -> WindowTable:
        data, steps = self.transitions, self.horizon_length
        starts, ends = torch.arange(self.num_starts, device=data.device), data.episode_ends
        inside = torch.minimum(starts + steps, ends + 1) - starts
        masks = data.masks[starts + inside - 1]
        columns = torch.cat([masks[None], inside[None].to(data.dtype), self._discounted_sums(starts, ends)])
        rows = torch.stack([data.state_rows, data.state_rows[torch.minimum(starts + steps, ends)]])
        return EpisodeTable(data.states, rows, columns, data.actions, steps, self._own)

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Draw the starts (U, B) of one member's batches, see `draw_by_episode`."""
        episodes, offsets = draw_by_episode(self.lengths, updates, batch_size, generator)
        return self.firsts[episodes] + offsets

    @property
    def drawn_starts(self) -> Tensor:
        """All starts that can be drawn, in ascending order."""
        starts = torch.arange(self.num_starts, device=self.device)
        return starts[starts < self.transitions.episode_ends]

    def rows(self, starts: Tensor) -> Tensor:
        """Return the indices (..., h + 1) of the transitions that windows at `starts` (...) are computed from."""
        offsets = torch.arange(self.horizon_length + 1, device=self.device)
        return torch.minimum(starts[..., None] + offsets, self.transitions.episode_ends[starts][..., None])

    def steps(self, starts: Tensor) -> dict[str, Tensor]:
        """Return every column of the windows at `starts`, as `ChunkWindows.steps` does.

        Column j of masks is the mask of step j alone. Column j of next_observations is the state of row j + 1.
        """
        starts, data = self._checked(starts), self.transitions
        rows = self.rows(starts)
        steps = rows[..., :-1]
        raw = starts[..., None] + torch.arange(self.horizon_length, device=data.device)
        return {
            "observations": data.states[data.state_rows[starts]],
            "actions": data.actions[steps],
            "masks": data.masks[steps],
            "next_observations": data.states[data.state_rows[rows[..., 1:]]],
            **self._running(steps, (raw == steps).to(data.dtype)),
        }


def draw_by_episode(
    lengths: Tensor, updates: int, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw episodes uniformly, and then a start in each, uniformly except for the episode's last transition.

    Args:
        lengths: (E,) int64, transitions of each episode, at least 2; E >= 1.
        updates: U, number of batches.
        batch_size: B, starts per batch.
        generator: on the device of `lengths`. The draws do not depend on how updates are grouped.

    Returns:
        Indices of episodes and offsets from their first transition, (U, B) int64 each. If there are more episodes than
        rows, those of a batch are distinct.

    Source: Oberai, Park & Levine 2026, the sampler of the authors' code.
    """
    count = len(lengths)
    distinct = count > batch_size
    sizes = [count if distinct else batch_size, batch_size]
    # In double precision, so that two of many episodes hardly ever tie.
    numbers = draw_each_update(
        updates,
        lambda: torch.rand(sum(sizes), generator=generator, dtype=torch.float64, device=generator.device),
    )
    keys, places = numbers.split(sizes, dim=1)
    episodes = keys.topk(batch_size, dim=1).indices if distinct else (keys * count).long()
    return episodes, (places * (lengths[episodes] - 1)).long()
