"""Versions of the packages that a run was made with."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import platform

__all__ = ["library_version", "versions"]

PACKAGES = ("torch", "lightning", "torchdiffeq", "gymnasium", "ogbench", "mujoco", "hydra-core", "omegaconf", "numpy")


def library_version() -> str:
    """Version of this library."""
    return importlib.import_module("qam_torch").__version__


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers."""
    import torch  # not above: what only reads and writes a run's files starts at once

    found = {"python": platform.python_version(), "qam_torch": library_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
    return found
