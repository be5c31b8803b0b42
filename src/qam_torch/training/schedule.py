"""When things happen: how much the next trainer step does so that nothing is overshot, and what is due after it."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from qam_torch.types import QamError, require

__all__ = ["Clock", "clock_of"]


@dataclass(frozen=True)
class Clock:
    """The schedule of a run. Its place is one number, the step: updates while offline, environment steps from there on.

    offline_steps     int >= 0  updates on the data set before the first step in an environment
    online_steps      int >= 0  environment steps of each member, updates in between; one of the two is not 0
    updates_per_step  int >= 1  most updates in one trainer step; online, most steps that every environment takes in one
    num_envs          int >= 1  environments of each member, which take their steps together
    start_training    int >= 1  online step from which on there are updates
    utd_ratio         int >= 1  updates an environment step
    log_every, eval_every, save_every  int >= 1  steps between metrics, evaluations, checkpoints, counted in each phase
                                from its start; each also happens at a phase's last step

    Trainer steps end at every event, so they may be shorter than `updates_per_step`. Online, an event that falls due
    between the steps of several environments happens after the last of them.
    """

    offline_steps: int
    online_steps: int
    updates_per_step: int
    num_envs: int
    start_training: int
    utd_ratio: int
    log_every: int
    eval_every: int
    save_every: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("offline_steps", "online_steps") else 1
            integer = isinstance(value, int) and not isinstance(value, bool)
            require(name, integer and value >= least, value, f"an integer >= {least}")
        if self.steps == 0:
            raise QamError("offline_steps=0 and online_steps=0 leave nothing to do: give one of them")
        if self.online_steps % self.num_envs:
            raise QamError(
                f"online_steps={self.online_steps} cannot be shared out to num_envs={self.num_envs}: give a multiple"
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

    def updates(self, step: int) -> int:
        """Gradient updates made after `step` steps: online one step's worth for each from `start_training` on."""
        trained = max(0, self.online(step) - self.start_training + 1)
        return min(step, self.offline_steps) + self.utd_ratio * trained

    def plan(self, step: int) -> int:
        """Steps to make in the trainer step that starts after `step` steps; 0 when the run is finished."""
        events = (self.log_every, self.eval_every, self.save_every)
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

    def due(self, every: int, step: int) -> bool:
        """Whether what happens every `every` steps happens at the end of the trainer step that ended after `step`."""
        if step in (self.offline_steps, self.steps):
            return True
        if step < self.offline_steps:
            return step % every == 0
        made = self.online(step)
        return made // every > (made - self.num_envs) // every


def clock_of(config: DictConfig, offline_steps: int | None = None) -> Clock:
    """The schedule that a run's configuration asks for; `offline_steps` in place of its own where they are made."""
    return Clock(
        offline_steps=config.offline_steps if offline_steps is None else offline_steps,
        **{
            name: config[name]
            for name in (
                "online_steps",
                "updates_per_step",
                "num_envs",
                "start_training",
                "utd_ratio",
                "log_every",
                "eval_every",
                "save_every",
            )
        },
    )
