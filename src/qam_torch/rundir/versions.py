"""Versions of the packages that a run uses."""

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
    """Return the version of this library."""
    return importlib.import_module("qam_torch").__version__


def versions(device: torch.device) -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a run's results, and the name of the device.

    Args:
        device: device of the run. A GPU is not accessed unless it is this device.

    Returns:
        Package -> version, and "device" -> name of the device.
    """
    import torch  # imported here, so that code which only reads or writes a run's files starts quickly

    found = {"python": platform.python_version(), "qam_torch": library_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    found["torch"] = torch.__version__  # includes the build, e.g. +cu128
    found["device"] = platform.processor() or "cpu"
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    return found
