"""Record data of an environment that its `step` does not return: positions, images, and its physical state.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np

__all__ = ["RECORDS", "HostFailure", "Trace", "physics_of"]

RECORDS = ("positions", "frames")


class HostFailure(RuntimeError):
    """An environment or its worker process failed. The pool raises an EnvironmentFailure with the same message."""


class Trace:
    """Records positions and frames of one environment during one chunk."""

    def __init__(self, environment: gymnasium.Env, record: Sequence[str], frame_every: int) -> None:
        self._locate = None
        if "positions" in record:
            if not environment.has_wrapper_attr("get_xy"):
                raise HostFailure(
                    f"{environment} has no position to record: only mazes have positions, do not record them"
                )
            self._locate = environment.get_wrapper_attr("get_xy")
        self._render = environment.render if "frames" in record else None
        self._frame_every = frame_every
        self._positions: list[np.ndarray] = []
        self._frames: list[np.ndarray] = []

    def add(self, taken: int, last: bool = False) -> None:
        """Record the current state, which is the one after `taken` steps of the episode."""
        if self._locate is not None:
            self._positions.append(np.array(self._locate(), np.float64))
        if self._render is not None and (last or taken % self._frame_every == 0):
            self._frames.append(np.array(self._render(), np.uint8))

    def positions(self) -> np.ndarray | None:
        """Return the positions (k, 2), or None if nothing was recorded."""
        return np.stack(self._positions) if self._positions else None

    def frames(self) -> np.ndarray | None:
        """Return the frames (k, H, W, 3), or None if nothing was recorded."""
        return np.stack(self._frames) if self._frames else None


def physics_of(environment: gymnasium.Env) -> dict[str, np.ndarray]:
    """Return the known physical state: MuJoCo's time, qpos, qvel and act, and OGBench's buttons (puzzle and scene)."""
    base = environment.unwrapped
    data = getattr(base, "data", None)
    named = {name: getattr(data, name, None) for name in ("time", "qpos", "qvel", "act")}
    named["buttons"] = getattr(base, "_cur_button_states", None)
    return {name: np.array(value) for name, value in named.items() if isinstance(value, (float, np.ndarray))}
