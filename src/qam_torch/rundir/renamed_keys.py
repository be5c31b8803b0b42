"""Keys and values of the configuration that earlier versions of the library named differently or did not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ADDED_KEYS", "RENAMED_KEYS", "RENAMED_VALUES", "with_current_keys"]

RENAMED_KEYS = {
    "updates": "offline_steps",
    "save_every": "checkpoint_every",
    "buffer": "replay_mode",
    "dtype": "precision",
    "trainer.precision": "precision",
    "data.proportion": "data.fraction",
    "data.swap_every": "data.shard_every",
}
"""Old dotted key -> current key."""

RENAMED_VALUES = {
    ("resume", "never"): "false",
    ("precision", "full"): "float32",
    ("experiment", "train"): "default",
    ("experiment_name", "train"): "default",
}
"""(Key, old value) -> current value."""

ADDED_KEYS = {
    "data.normalize": ("fraction", "none"),
    "algo.solver": ("flow_steps", "euler"),
    "algo.discretization": ("clip_adj", {"_target_": "qam_torch.flows.ShiftedDiscretization"}),
}
"""Dotted key that earlier versions did not have -> (another key of its group, the value that earlier versions used).

The key is only added to a group that contains the other key.
"""


def with_current_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the configuration of a run of any earlier version to the current keys and values.

    Args:
        config: resolved configuration, as in a run's config.yaml; not changed.

    Returns:
        The translated configuration. If it already has a current key, the value of that key is kept, except that
        dtype=float64 always sets precision.
    """
    current = {key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    if current.get("dtype") == "float64":  # matrix products of float64 networks were always in float64
        current["precision"] = "float64"
    for old, new in RENAMED_KEYS.items():
        group, _, key = old.rpartition(".")
        part = current.get(group) if group else current
        if isinstance(part, dict) and key in part:
            value = part.pop(key)
            if old != "trainer.precision":  # dropped: this key was Lightning's, and its value was always 32-true
                part.setdefault(new.rpartition(".")[2], value)
    for key, (beside, value) in ADDED_KEYS.items():
        group, _, name = key.partition(".")
        if isinstance(current.get(group), dict) and beside in current[group]:
            current[group].setdefault(name, value)
    for (key, old), new in RENAMED_VALUES.items():
        if current.get(key) == old:
            current[key] = False if new == "false" else new
    return current
