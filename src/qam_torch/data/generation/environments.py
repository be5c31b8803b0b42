"""Create OGBench environments for recording data. Worker processes import this module, so it does not import torch."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import gymnasium

from qam_torch.system.opengl import renderer_optional
from qam_torch.system.temporary_files import temporary_files_removed

__all__ = ["make_world"]


def make_world(environment: str, **options: Any) -> Any:
    """Create an environment without wrappers. Its episodes end neither at the goal nor at a time limit.

    OGBench is imported in this function, because the parent process of the workers does not need MuJoCo.

    Args:
        environment: name of a registered goal-conditioned environment, e.g. "cube-triple-v0".
        options: further keyword arguments of the environment.
    """
    with temporary_files_removed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from GLFW without a display, and from gymnasium about casts to float32
        importlib.import_module("ogbench")  # registers the environments
        options |= {"terminate_at_goal": False, "disable_env_checker": True}
        return renderer_optional(lambda: gymnasium.make(environment, **options)).unwrapped
