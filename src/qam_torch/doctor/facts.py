"""Collect versions, device, memory and precision for a bug report."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess

import torch

from qam_torch.bench.measure import machine_info
from qam_torch.rundir.versions import PACKAGES, library_version
from qam_torch.system.console import readable_size

__all__ = ["facts"]


def facts(device: torch.device) -> dict[str, str]:
    """Describe the machine.

    Args:
        device: device that is checked.

    Returns:
        A dictionary from topics to their texts.
    """
    found = {
        "qam_torch": f"{library_version()}, Python {platform.python_version()}, {platform.platform()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "cpu": "{cpu}, {cores} cores, torch uses {threads} threads".format(**machine_info(device)),
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        found["device"] = f"{device}: {about.name}, compute capability {about.major}.{about.minor}"
        found["gpu memory"] = f"{readable_size(total)}, {readable_size(free)} free"
        found["cuda"] = f"torch was built for CUDA {torch.version.cuda}, driver {_driver()}"
        found["precision"] = (
            f"float32 matrix products: {torch.get_float32_matmul_precision()} (qam-train sets high, TensorFloat-32), "
            f"bfloat16: {'yes' if torch.cuda.is_bf16_supported() else 'no'}"
        )
    else:
        seen = "a GPU is there" if torch.cuda.is_available() else "no GPU that torch can use"
        found["device"] = f"cpu ({seen}; torch {'was not' if torch.version.cuda is None else 'was'} built for CUDA)"
        found["precision"] = f"float32 matrix products: {torch.get_float32_matmul_precision()}"
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _driver() -> str:
    """Return the version of NVIDIA's driver."""
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown (nvidia-smi cannot be run)"
    return done.stdout.splitlines()[0].strip()
