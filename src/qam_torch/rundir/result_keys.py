"""Which keys of a run's configuration do not change its result at a given step.

A group is a tuple of dotted keys; a key stands for everything below it, "trainer" for "trainer.devices" too.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COPIED", "EXTENT", "IDENTITY", "NEUTRAL", "changes_result", "is_in"]

NEUTRAL = (
    "resume",
    "skip_completed",
    "on_divergence",
    "trainer",
    "logger",
    "evaluation_metrics",
    "plots",
    "runs_root",
    "run_dir",
    "data.directory",
    "data.download",
    "data.mirrors",
    "eval_environments",
    "eval_workers",
    "online_workers",
    "num_threads",
    "compile",
    "capture",
    "hydra",
)
"""Where and how a run is executed. Runs that differ only here have the same directory."""

IDENTITY = ("algo_name", "env_name", "experiment_name", "run_name", "seed", "seeds", "task", "population")
"""Which method, environment, task and members a run has. Reports show these as columns of their own."""

EXTENT = (
    "offline_steps", "online_steps", "updates", "updates_per_step", "eval_every", "eval_episodes", "log_every",
    "checkpoint_every", "compare_behavior",
)  # fmt: skip
"""How long a run goes on and how often it is evaluated, logged and saved."""

COPIED = ("env.horizon_length", "env.discount", "env.rho")
"""Defaults that an environment's config passes on to the method's own keys, where they are compared."""


def is_in(group: Sequence[str], key: str) -> bool:
    """Whether a key belongs to a group.

    Args:
        group: one of the groups above.
        key: dotted key.
    """
    return any(key == name or key.startswith(f"{name}.") for name in group)


def changes_result(key: str) -> bool:
    """Whether runs that differ in this key must not be pooled: it is in none of the groups."""
    return not is_in((*NEUTRAL, *IDENTITY, *EXTENT, *COPIED), key)
