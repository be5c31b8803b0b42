"""From a configuration to the parts of a run: environments in processes, algorithm, loggers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.algorithms.lookup import method_named
from qam_torch.config.population import with_population
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.system.machine import cpu_cores
from qam_torch.training.threads import hidden_widths
from qam_torch.types import QamError, require

__all__ = [
    "arrange_update",
    "build_algorithm",
    "build_loggers",
    "build_pool",
    "method_of",
    "wants_compilation",
]

WORTH_COMPILING = 5000
"""Updates from which on the half minute of compiling the update is won back."""

WIDEST_COMPILED = 256
"""Widest hidden layer up to which compiling was seen to help; wider updates are all matrix products."""


def method_of(config: DictConfig) -> type[Algorithm]:
    """The class that config.algo names; raises QamError when there is none."""
    target = config.algo.get("_target_")
    require("algo._target_", isinstance(target, str), target, "the method's class, such as my_module.MyMethod")
    return method_named(target, f"algo._target_={target}")


def build_pool(make: partial, count: int, workers: int | None) -> EnvironmentPool:
    """`count` environments over `workers` processes; None takes the CPU cores, 0 stays in this process."""
    chosen = cpu_cores() if workers is None else workers
    return EnvironmentPool(make, count, workers=min(chosen, count) if chosen > 1 else 0)


def build_algorithm(config: DictConfig, observation_dim: int, action_dim: int) -> tuple[Algorithm, dict[str, Any]]:
    """The method and its plain constructor arguments."""
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
                f"algo.{name}={options[name]} differs between seeds, and {kind.__name__} does not say that it may: "
                f"annotate the argument as '{PER_MEMBER}'"
            )
    return algorithm.to(getattr(torch, config.dtype)), arguments


def arrange_update(algorithm: Algorithm, config: DictConfig, device: torch.device, updates: int) -> None:
    """Choose how the update runs: compiled or not, in which precision its matrix products are made, and whether a
    member that diverges is frozen."""
    if config.on_divergence == "freeze":
        algorithm.freeze_diverged()
    algorithm.compile_update = wants_compilation(config, device, updates)
    algorithm.mixed_precision = config.precision == "bf16-mixed"
    if device.type == "cuda" and config.dtype == "float32":
        torch.set_float32_matmul_precision("high")  # TensorFloat-32


def wants_compilation(config: DictConfig, device: torch.device, updates: int) -> bool:
    """Whether to compile the update: on a CPU with a C++ compiler, where the run is long and the networks are small
    enough to gain by it.

    updates  that the run makes

    Raises QamError when compile=true and there is no compiler.
    """
    require("compile", config.compile in (True, False, "auto"), config.compile, "true, false or auto")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if config.compile is True and compiler is None:
        raise QamError("compile=true needs a C++ compiler and found none: install g++, or give compile=false")
    pays = updates >= WORTH_COMPILING and max(hidden_widths(config), default=0) <= WIDEST_COMPILED
    if config.compile is not True and (compiler is None or not pays):
        return False
    return config.compile is not False and device.type == "cpu"


def build_loggers(config: DictConfig, directory: Path, step: int) -> Sequence[Logger]:
    """The loggers asked for; events after `step` of a run that is continued are hidden."""
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        _wait_for_the_next_second(directory / "tensorboard")
        loggers.append(TensorBoardLogger(directory, name="tensorboard", version="", purge_step=step + 1))
    if config.logger.wandb:
        from lightning.pytorch.loggers import WandbLogger

        loggers.append(WandbLogger(project=config.logger.wandb_project, save_dir=directory, name=config.run_name))
    return loggers


def _wait_for_the_next_second(events: Path) -> None:
    """TensorBoard reads event files in the order of their names, which begin with the second they were opened in: two
    of the same second, of a run that was killed and continued at once, might be read the wrong way round."""
    opened = [int(path.name.split(".")[3]) for path in events.glob("events.out.tfevents.*")]
    if opened:
        time.sleep(min(max(max(opened) + 1 - time.time(), 0.0), 1.0))
