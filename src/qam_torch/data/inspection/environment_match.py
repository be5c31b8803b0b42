"""Check whether a data file matches its environment: sizes, limits, buttons, and the edges of the maze."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from qam_torch.data.inspection.findings import Finding

__all__ = ["Extent", "check_buttons", "check_positions", "check_spaces"]

Extent = tuple[float, float, float, float]
"""Left, right, bottom and top edge of a maze, in the coordinates of its positions."""


def check_spaces(arrays: Mapping[str, np.ndarray], environment: gymnasium.Env) -> Iterator[Finding]:
    """Compare the arrays with the environment's spaces and the size of its MuJoCo state."""
    space, unwrapped = environment.observation_space, environment.unwrapped
    sizes: dict[str, Any] = {"observations": space.shape, "actions": environment.action_space.shape}
    if (model := getattr(unwrapped, "model", None)) is not None:
        sizes |= {"qpos": (model.nq,), "qvel": (model.nv,)}
    name = environment.spec.id if environment.spec is not None else "the environment"
    fits = True
    for key, shape in sizes.items():
        if key in arrays and arrays[key].shape[1:] != shape:
            fits = False
            yield Finding("environment", "error", f"'{key}' has size {arrays[key].shape[1]}, but {name} has {shape[0]}")
    observations = arrays.get("observations")
    if isinstance(space, gymnasium.spaces.Box) and observations is not None and observations.shape[1:] == space.shape:
        outside = int(((observations < space.low) | (observations > space.high)).any(axis=1).sum())
        if outside:
            fits = False
            yield Finding("environment", "error", f"{outside:,} observations outside {name}'s space")
    if fits:
        yield Finding("environment", "ok", f"fits {name}")


def check_buttons(arrays: Mapping[str, np.ndarray], environment: gymnasium.Env) -> Iterator[Finding]:
    """Check that button states exist if the environment has buttons, and that they are in range."""
    world: Any = environment.unwrapped
    buttons = getattr(world, "_num_buttons", 0)
    states = arrays.get("button_states")
    if not buttons and states is None:
        return
    if states is None:
        yield Finding("buttons", "error", f"no 'button_states', but the environment has {buttons} buttons")
    elif states.shape[1] != buttons:
        yield Finding(
            "buttons", "error", f"'button_states' has size {states.shape[1]}, but there are {buttons} buttons"
        )
    elif strange := int(((states < 0) | (states >= world._num_button_states)).sum()):
        yield Finding("buttons", "error", f"{strange:,} button states that do not exist")
    else:
        yield Finding("buttons", "ok", f"{buttons}, states in range")


def check_positions(arrays: Mapping[str, np.ndarray], extent: Extent) -> Iterator[Finding]:
    """Check that positions, the first two columns of qpos, are within the edges of the maze."""
    if "qpos" not in arrays or arrays["qpos"].shape[1] < 2:
        return
    xy, (left, right, bottom, top) = arrays["qpos"][:, :2], extent
    outside = int(((xy < (left, bottom)) | (xy > (right, top))).any(axis=1).sum())
    if outside:
        yield Finding("maze", "error", f"{outside:,} positions outside the maze")
    else:
        yield Finding("maze", "ok", f"positions in x {left:g} to {right:g} m, y {bottom:g} to {top:g} m")
