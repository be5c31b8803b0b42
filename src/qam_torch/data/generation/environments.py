"""OGBench's environments as recipes use them. Imported in worker processes: no torch."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import gymnasium

from qam_torch.system.temporary_files import temporary_files_removed

__all__ = ["make_world"]


def make_world(environment: str, **options: Any) -> Any:
    """One environment without wrappers, whose episodes do not end.

    environment  registered goal-conditioned environment, e.g. "cube-triple-v0"
    options      further keywords of the environment

    OGBench is imported here, because whoever has episodes made elsewhere needs no MuJoCo.
    """
    with temporary_files_removed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW misses a display, gymnasium dislikes a cast to float32
        importlib.import_module("ogbench")  # registers the environments
        return gymnasium.make(environment, terminate_at_goal=False, disable_env_checker=True, **options).unwrapped
