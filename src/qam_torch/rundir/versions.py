"""Versions of the packages that a run was made with."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["library_version", "versions"]

PACKAGES = ("torch", "lightning", "torchdiffeq", "gymnasium", "ogbench", "mujoco", "hydra-core", "omegaconf", "numpy")


def library_version() -> str:
    """Version of this library."""
    return importlib.import_module("qam_torch").__version__


def versions(device: torch.device) -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers, and the name of the device.

    Args:
        device: where the run computes; another one is not used.
    """
    import torch  # not above: what only reads and writes a run's files starts at once

    found = {"python": platform.python_version(), "qam_torch": library_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    found["torch"] = torch.__version__  # with the build, such as +cu128
    found["device"] = platform.processor() or "cpu"
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    return found
