"""When things happen: how much the next trainer step does, and what is due after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qam_torch.types import QamError, is_integer, require

__all__ = ["Due", "Schedule"]


class Due(NamedTuple):
    """What happens after a trainer step."""

    evaluation: bool
    log: bool
    checkpoint: bool

    @property
    def any(self) -> bool:
        """Whether anything is due."""
        return self.evaluation or self.log or self.checkpoint


@dataclass(frozen=True)
class Schedule:
    """The schedule of a run.

    The position of a run is one number, the step: updates in the offline phase, and environment steps on top of them
    in the online phase. Trainer steps end at every event, so they may be shorter than `updates_per_step`. Online, an
    event that falls due between the steps of several environments happens after the last of them.

    Args:
        offline_steps: updates on the dataset before the first step in an environment, >= 0.
        online_steps: environment steps of each member, with updates in between, >= 0; not both phases may be 0.
        updates_per_step: largest number of updates in one trainer step, >= 1; online, the largest number of steps
            that every environment takes in one.
        num_envs: environments of each member, which take their steps together, >= 1.
        start_training: online step from which on there are updates, >= 1.
        utd_ratio: updates per environment step, >= 1.
        log_every, eval_every, checkpoint_every: steps between metrics, evaluations and checkpoints, >= 1, counted in
            each phase from its start. Each of them also happens at a phase's last step.

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
        """Steps of the whole run."""
        return self.offline_steps + self.online_steps

    def online(self, step: int) -> int:
        """Environment steps made after `step` steps; 0 in the offline phase."""
        return max(0, step - self.offline_steps)

    def phase(self, step: int) -> str:
        """ "offline" or "online": the phase that the last of `step` steps belongs to."""
        return "offline" if step <= self.offline_steps else "online"

    def place(self, step: int) -> str:
        """Describe the position after `step` steps, e.g. "update 300" or "online step 20"."""
        return f"update {step:,}" if self.phase(step) == "offline" else f"online step {self.online(step):,}"

    def updates(self, step: int) -> int:
        """Gradient updates made after `step` steps; online, there are `utd_ratio` per step from `start_training` on."""
        trained = max(0, self.online(step) - self.start_training + 1)
        return min(step, self.offline_steps) + self.utd_ratio * trained

    def plan(self, step: int) -> int:
        """Steps to make in the trainer step that starts after `step` steps; 0 when the run is finished."""
        events = (self.log_every, self.eval_every, self.checkpoint_every)
        if step < self.offline_steps:
            return min(self.updates_per_step, self.offline_steps - step, *(every - step % every for every in events))
        made, each = self.online(step), self.num_envs
        nearest = min((every - made % every + each - 1) // each for every in events)
        return min(self.updates_per_step * each, nearest * each, self.steps - step)

    def trainer_steps(self, step: int = 0) -> int:
        """Trainer steps still to make after `step` steps."""
        count = 0
        while steps := self.plan(step):
            step += steps
            count += 1
        return count

    def due_at(self, step: int) -> Due:
        """What is due at the end of the trainer step that ended after `step` steps."""
        return Due(*(self.due(every, step) for every in (self.eval_every, self.log_every, self.checkpoint_every)))

    def due(self, every: int, step: int) -> bool:
        """Whether an event that happens every `every` steps is due after `step` steps."""
        if step in (self.offline_steps, self.steps):
            return True
        if step < self.offline_steps:
            return step % every == 0
        made = self.online(step)
        return made // every > (made - self.num_envs) // every
