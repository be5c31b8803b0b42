"""Import MuJoCo even if the OpenGL backend that MUJOCO_GL selects is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SWITCHED_OFF", "renderer_optional"]

T = TypeVar("T")

SWITCHED_OFF = ("disable", "disabled", "off", "false", "0")
"""Values of MUJOCO_GL that select no backend."""


def renderer_optional(load: Callable[[], T]) -> T:
    """Call a function that imports mujoco. If it fails, call it again without an OpenGL backend.

    At import, mujoco loads the backend that MUJOCO_GL selects, and fails if the backend is missing. Only videos need a
    backend.

    Args:
        load: function without arguments.

    Returns:
        The result of `load`.
    """
    named = os.environ.get("MUJOCO_GL")
    try:
        return load()
    except Exception:  # PyOpenGL raises errors of several types
        if named is None or named in SWITCHED_OFF:
            raise
    os.environ["MUJOCO_GL"] = "disable"
    try:
        return load()
    finally:
        os.environ["MUJOCO_GL"] = named
