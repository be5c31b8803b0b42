"""When things happen, all counted in updates: how many to make in the next trainer step so that nothing is overshot."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from qam_torch.types import require

__all__ = ["Clock", "clock_of"]


@dataclass(frozen=True)
class Clock:
    """The schedule of a run.

    updates           int >= 1  updates in all
    updates_per_step  int >= 1  most updates in one trainer step
    log_every, eval_every, save_every  int >= 1  updates between metrics, evaluations, checkpoints; each also happens
                                at the last update

    Trainer steps end exactly at every event, so they may be shorter than `updates_per_step`.
    """

    updates: int
    updates_per_step: int
    log_every: int
    eval_every: int
    save_every: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            integer = isinstance(value, int) and not isinstance(value, bool)
            require(name, integer and value >= 1, value, "an integer >= 1")

    def plan(self, done: int) -> int:
        """Updates to make in the trainer step that starts after `done` updates; 0 when the run is finished."""
        events = (self.log_every, self.eval_every, self.save_every)
        nearest = min(self.updates - done, *(every - done % every for every in events))
        return max(0, min(self.updates_per_step, nearest))

    def num_steps(self, done: int = 0) -> int:
        """Trainer steps still to make after `done` updates."""
        steps = 0
        while updates := self.plan(done):
            done += updates
            steps += 1
        return steps

    def due(self, every: int, done: int) -> bool:
        """Whether an event that happens every `every` updates happens after `done` updates."""
        return done % every == 0 or done == self.updates


def clock_of(config: DictConfig) -> Clock:
    """The schedule that a run's configuration asks for."""
    return Clock(config.updates, config.updates_per_step, config.log_every, config.eval_every, config.save_every)
