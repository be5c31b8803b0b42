"""Settings of the update: precision, compilation, capture and divergence."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.types import PRECISIONS, QamError, is_integer, require

__all__ = ["UpdateSettings", "wants_compilation"]

WORTH_COMPILING = 5000
"""Smallest number of updates for which compiling saves time. Compiling takes half a minute or more."""


@dataclass(frozen=True)
class UpdateSettings:
    """Settings of the update, with the names of their keys. Values are checked.

    Raises:
        QamError: a value is out of range.
    """

    batch_size: int
    precision: str
    compile: bool | str
    capture: bool | str
    num_threads: int | None
    on_divergence: str

    def __post_init__(self) -> None:
        require("batch_size", is_integer(self.batch_size, 1), self.batch_size, "an integer >= 1")
        require("precision", self.precision in list(PRECISIONS), self.precision, ", ".join(PRECISIONS))
        require("compile", self.compile in (True, False, "auto"), self.compile, "true, false or auto")
        require("capture", self.capture in (True, False, "auto"), self.capture, "true, false or auto")
        threads = self.num_threads
        require("num_threads", threads is None or is_integer(threads, 1), threads, "an integer >= 1, or null")
        require("on_divergence", self.on_divergence in ("stop", "freeze"), self.on_divergence, "stop or freeze")

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of networks and data."""
        dtype: torch.dtype = getattr(torch, PRECISIONS[self.precision])
        return dtype

    def apply(self, algorithm: Algorithm, device: torch.device, updates: int) -> None:
        """Configure an algorithm: compilation, capture, mixed precision, and handling of divergence.

        Args:
            algorithm: the algorithm to configure.
            device: device of the training.
            updates: number of updates of the run.

        Raises:
            QamError: compile=true or capture=true is not possible on this machine.
        """
        if self.on_divergence == "freeze":
            algorithm.freeze_diverged()
        algorithm.compile_update = wants_compilation(self.compile, device, updates) and self._can_compile(device)
        if self.capture is True and device.type != "cuda":
            raise QamError("capture=true needs a GPU with CUDA, but this run is on the CPU: give capture=auto")
        algorithm.capture = self.capture
        algorithm.mixed_precision = self.precision == "bf16-mixed"

    def _can_compile(self, device: torch.device) -> bool:
        """Whether torch.compile works here; if not, print why, or raise QamError with compile=true."""
        problem = compilation_problem(device.type)
        if problem is None:
            return True
        if self.compile is True:
            raise QamError(f"compile=true, but torch.compile fails here ({problem}): give compile=false")
        print(f"the update is not compiled, because torch.compile fails here: {problem}")
        return False


@functools.cache
def compilation_problem(device: str) -> str | None:
    """Compile and call a trivial function on a type of device; returns why that fails, or None if it works.

    The result is cached. Files that the compiler makes, such as precompiled headers, are used again for the update.
    """
    try:
        torch.compile(torch.sin, fullgraph=True, dynamic=False)(torch.zeros(8, device=device))
    except Exception as error:  # raised by torch, the compiler, or the file system of its cache
        return next(iter(str(error).splitlines()), type(error).__name__)[:300]
    return None


def wants_compilation(choice: bool | str, device: torch.device, updates: int) -> bool:
    """Whether to compile the update. "auto" compiles on a CPU with a C++ compiler, in long runs.

    On a GPU a compiled update is captured like any other. Whether that saves time has not been measured yet.

    Args:
        choice: the key `compile`: True, False or "auto".
        device: device of the training.
        updates: number of updates of the run.

    Raises:
        QamError: compile=true without a compiler on a CPU.
    """
    if device.type != "cpu":
        return choice is True
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if choice is True and compiler is None:
        raise QamError("compile=true needs a C++ compiler and found none: install g++, or give compile=false")
    saves_time = updates >= WORTH_COMPILING
    return choice is True or (choice == "auto" and compiler is not None and saves_time)
