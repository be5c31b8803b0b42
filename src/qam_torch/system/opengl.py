"""Importing MuJoCo where the OpenGL backend that MUJOCO_GL names is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SWITCHED_OFF", "renderer_optional"]

T = TypeVar("T")

SWITCHED_OFF = ("disable", "disabled", "off", "false", "0")
"""Values of MUJOCO_GL for no backend."""


def renderer_optional(load: Callable[[], T]) -> T:
    """Call a function that imports mujoco, which loads the backend that MUJOCO_GL names and fails where it is missing.

    Only videos render. Everything else works without a backend, so that a call that fails is repeated without one.

    Args:
        load: without arguments.
    """
    named = os.environ.get("MUJOCO_GL")
    try:
        return load()
    except Exception:  # PyOpenGL raises several kinds
        if named is None or named in SWITCHED_OFF:
            raise
    os.environ["MUJOCO_GL"] = "disable"
    try:
        return load()
    finally:
        os.environ["MUJOCO_GL"] = named
