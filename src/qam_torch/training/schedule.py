"""The schedule of a run: the length of each trainer step, and the events after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qam_torch.types import QamError, is_integer, require

__all__ = ["Due", "Schedule"]


class Due(NamedTuple):
    """The events that are due after a trainer step."""

    evaluation: bool
    log: bool
    checkpoint: bool

    @property
    def any(self) -> bool:
        """Whether any event is due."""
        return self.evaluation or self.log or self.checkpoint


@dataclass(frozen=True)
class Schedule:
    """The schedule of a run.

    The position of a run is one number, the step. In the offline phase it counts updates. In the online phase it is
    the number of offline updates plus the number of environment steps. A trainer step ends at every event, so it may
    be shorter than `updates_per_step`. In the online phase, the environments of a member step together. If an event is
    due between their steps, it happens after the last of these steps.

    Args:
        offline_steps: number of updates on the dataset before the first environment step, >= 0.
        online_steps: number of environment steps of each member, with updates in between, >= 0; a multiple of
            `num_envs`. One of the two phases must have steps.
        updates_per_step: maximum number of updates per trainer step, >= 1. In the online phase, maximum number of steps
            of each environment per trainer step.
        num_envs: number of environments per member, >= 1.
        start_training: online step from which on there are updates, >= 1.
        utd_ratio: number of updates per environment step, >= 1.
        log_every, eval_every, checkpoint_every: steps between metrics, evaluations and checkpoints, >= 1, counted from
            the start of each phase. Each event also happens at the last step of a phase.

    Raises:
        QamError: a value is out of range, or there is nothing to do.
    """

    offline_steps: int
    online_steps: int
    updates_per_step: int
    num_envs: int
    start_training: int
    utd_ratio: int
    log_every: int
    eval_every: int
    checkpoint_every: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("offline_steps", "online_steps") else 1
            require(name, is_integer(value, least), value, f"an integer >= {least}")
        if self.steps == 0:
            raise QamError("offline_steps=0 and online_steps=0 leave nothing to do: give one of them")
        if self.online_steps % self.num_envs:
            raise QamError(
                f"online_steps={self.online_steps} cannot be divided among num_envs={self.num_envs}: give a multiple"
            )

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.offline_steps + self.online_steps

    def online(self, step: int) -> int:
        """Return the number of environment steps made after `step` steps; 0 in the offline phase."""
        return max(0, step - self.offline_steps)

    def phase(self, step: int) -> str:
        """Return the phase of the last of `step` steps, "offline" or "online"."""
        return "offline" if step <= self.offline_steps else "online"

    def place(self, step: int) -> str:
        """Describe the position after `step` steps, e.g. "update 300" or "online step 20"."""
        return f"update {step:,}" if self.phase(step) == "offline" else f"online step {self.online(step):,}"

    def updates(self, step: int) -> int:
        """Return the number of updates made after `step` steps.

        In the online phase, there are `utd_ratio` updates per step from `start_training` on.
        """
        trained = max(0, self.online(step) - self.start_training + 1)
        return min(step, self.offline_steps) + self.utd_ratio * trained

    def plan(self, step: int) -> int:
        """Return the number of steps in the trainer step that starts after `step` steps; 0 if the run is finished."""
        events = (self.log_every, self.eval_every, self.checkpoint_every)
        if step < self.offline_steps:
            return min(self.updates_per_step, self.offline_steps - step, *(every - step % every for every in events))
        made, each = self.online(step), self.num_envs
        nearest = min((every - made % every + each - 1) // each for every in events)
        return min(self.updates_per_step * each, nearest * each, self.steps - step)

    def trainer_steps(self, step: int = 0) -> int:
        """Return the number of trainer steps that remain after `step` steps."""
        count = 0
        while steps := self.plan(step):
            step += steps
            count += 1
        return count

    def due_at(self, step: int) -> Due:
        """Return the events that are due at the end of the trainer step that ended after `step` steps."""
        return Due(*(self.due(every, step) for every in (self.eval_every, self.log_every, self.checkpoint_every)))

    def due(self, every: int, step: int) -> bool:
        """Whether an event that happens every `every` steps is due after `step` steps."""
        if step in (self.offline_steps, self.steps):
            return True
        if step < self.offline_steps:
            return step % every == 0
        made = self.online(step)
        return made // every > (made - self.num_envs) // every
