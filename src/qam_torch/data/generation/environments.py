"""OGBench's environments as recipes use them. Imported in worker processes: no torch."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from typing import Any

import gymnasium

__all__ = ["make_world"]


def make_world(environment: str, **options: Any) -> Any:
    """One environment without wrappers, whose episodes do not end.

    environment  registered goal-conditioned environment, e.g. "cube-triple-v0"
    options      further keywords of the environment

    OGBench is imported here, because whoever has episodes made elsewhere needs no MuJoCo.
    """
    original = tempfile.tempdir
    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW misses a display, gymnasium dislikes a cast to float32
        tempfile.tempdir = directory  # where mazes leave a file behind, which MuJoCo has read when they return
        try:
            importlib.import_module("ogbench")  # registers the environments
            return gymnasium.make(environment, terminate_at_goal=False, disable_env_checker=True, **options).unwrapped
        finally:
            tempfile.tempdir = original
