"""The algorithm that a configuration asks for, and how its update runs."""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.lookup import method_named
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.config.population import with_population
from qam_torch.training.threads import hidden_widths
from qam_torch.types import PRECISIONS, QamError, require

__all__ = ["build_algorithm", "configure_update", "method_of", "wants_compilation"]

WORTH_COMPILING = 5000
"""Number of updates from which compiling, which takes half a minute, saves time."""

WIDEST_COMPILED = 256
"""Width of the hidden layers up to which compiling helps; the time of wider updates is that of matrix products."""


def method_of(config: DictConfig) -> type[Algorithm]:
    """The class that config.algo names; raises QamError when there is none."""
    target = config.algo.get("_target_")
    require("algo._target_", isinstance(target, str), target, "the method's class, such as my_module.MyMethod")
    return method_named(target, f"algo._target_={target}")


def build_algorithm(config: DictConfig, observation_dim: int, action_dim: int) -> tuple[Algorithm, dict[str, Any]]:
    """Build the method.

    Args:
        config: of the run.
        observation_dim: O.
        action_dim: A.

    Returns:
        The algorithm, and its constructor's arguments as plain values.

    Raises:
        QamError: a value is out of range, or differs between members where it must not.
    """
    options = OmegaConf.to_container(config.algo, resolve=True)
    assert isinstance(options, dict)
    options.pop("_target_")
    kind = method_of(config)
    sizes = {"observation_dim": observation_dim, "action_dim": action_dim}
    arguments = {**sizes, **with_population(config, {str(name): value for name, value in options.items()}, kind)}
    algorithm = kind(**arguments)
    for name in algorithm.common_values:
        if isinstance(options.get(name), list) and annotations_of(kind).get(name) != PER_MEMBER:
            raise QamError(
                f"algo.{name}={options[name]} differs between seeds, which {kind.__name__} does not declare: "
                f"annotate the argument as '{PER_MEMBER}'"
            )
    return algorithm.to(getattr(torch, PRECISIONS[config.precision])), arguments


def configure_update(algorithm: Algorithm, config: DictConfig, device: torch.device, updates: int) -> None:
    """Choose whether the update is compiled, the precision of its matrix products, and what happens to divergence.

    Args:
        algorithm: to configure.
        config: of the run.
        device: that the algorithm is trained on.
        updates: that the run makes.
    """
    if config.on_divergence == "freeze":
        algorithm.freeze_diverged()
    algorithm.compile_update = wants_compilation(config, device, updates)
    algorithm.mixed_precision = config.precision == "bf16-mixed"
    if device.type == "cuda" and PRECISIONS[config.precision] == "float32":
        torch.set_float32_matmul_precision("high")  # TensorFloat-32


def wants_compilation(config: DictConfig, device: torch.device, updates: int) -> bool:
    """Whether to compile the update: on a CPU with a C++ compiler, for long runs of small networks.

    Args:
        config: of the run.
        device: that the algorithm is trained on.
        updates: that the run makes.

    Raises:
        QamError: compile=true without a compiler.
    """
    require("compile", config.compile in (True, False, "auto"), config.compile, "true, false or auto")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if config.compile is True and compiler is None:
        raise QamError("compile=true needs a C++ compiler and found none: install g++, or give compile=false")
    pays = updates >= WORTH_COMPILING and max(hidden_widths(config), default=0) <= WIDEST_COMPILED
    if config.compile is not True and (compiler is None or not pays):
        return False
    return config.compile is not False and device.type == "cpu"
