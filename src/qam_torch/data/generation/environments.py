"""OGBench's environments for recording data. Imported in worker processes: no torch."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import gymnasium

from qam_torch.system.opengl import renderer_optional
from qam_torch.system.temporary_files import temporary_files_removed

__all__ = ["make_world"]


def make_world(environment: str, **options: Any) -> Any:
    """Make an environment without wrappers, whose episodes do not end.

    OGBench is imported here, since a parent process whose workers make the episodes does not need MuJoCo.

    Args:
        environment: registered goal-conditioned environment, e.g. "cube-triple-v0".
        options: further keyword arguments of the environment.
    """
    with temporary_files_removed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GLFW without a display, and of gymnasium about a cast to float32
        importlib.import_module("ogbench")  # registers the environments
        options |= {"terminate_at_goal": False, "disable_env_checker": True}
        return renderer_optional(lambda: gymnasium.make(environment, **options)).unwrapped
