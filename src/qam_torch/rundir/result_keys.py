"""Groups of configuration keys. Runs that differ in a key outside of all groups must not be pooled.

A group is a tuple of dotted keys. A key includes all keys below it, e.g. "trainer" includes "trainer.devices".
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
"""Where and how a run is executed. Runs that differ only in these keys have the same run directory."""

IDENTITY = ("algo_name", "env_name", "experiment_name", "run_name", "seed", "seeds", "task", "population")
"""Method, environment, task and members of a run. Reports show these keys in separate columns."""

EXTENT = (
    "offline_steps", "online_steps", "updates", "updates_per_step", "eval_every", "eval_episodes", "log_every",
    "checkpoint_every", "compare_behavior",
)  # fmt: skip
"""Length of a run, and how often it is evaluated, logged and saved."""

COPIED = ("env.horizon_length", "env.discount", "env.rho")
"""Defaults of an environment's config, which are copied to the keys of the method. Runs are compared by those keys."""


def is_in(group: Sequence[str], key: str) -> bool:
    """Whether a key belongs to a group.

    Args:
        group: one of the groups above.
        key: dotted key.
    """
    return any(key == name or key.startswith(f"{name}.") for name in group)


def changes_result(key: str) -> bool:
    """Whether runs that differ in this key must not be pooled. This holds for all keys outside of the groups."""
    return not is_in((*NEUTRAL, *IDENTITY, *EXTENT, *COPIED), key)
