"""Metadata of an exported policy, as plain values for JSON."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.addresses import Member
from qam_torch.data.ogbench_format import file_hash
from qam_torch.envs.gymnasium_registry import GOAL_PARTS, GoalObservation, UnitAction
from qam_torch.export.program import PolicyProgram
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.rundir.versions import versions
from qam_torch.suites import suite_of

__all__ = ["KEY", "input_descriptions", "metadata_of"]

KEY = "qam_torch"
"""Name of the entry of a file's metadata that holds them as JSON."""

VERSION = 1
"""Number of the metadata's layout."""


def metadata_of(
    checkpoint: Mapping[str, Any], path: Path, algorithm: Algorithm, member: Member, packages: tuple[str, ...]
) -> dict[str, Any]:
    """Describe a policy: inputs, outputs, execution of its actions, and provenance.

    Args:
        checkpoint: that it comes from.
        path: of the checkpoint.
        algorithm: a population of one.
        member: which member of the checkpoint it is.
        packages: that write the file, whose versions are added.

    Raises:
        QamError: the environment cannot be made.
    """
    section = checkpoint[SECTION]
    run, action_dim = section["run"], section["arguments"]["action_dim"]
    mean, std = algorithm.normalization.mean, algorithm.normalization.std
    steps = algorithm.chunk_dim // action_dim
    return {
        "version": VERSION,
        "method": section["algorithm"],
        "environment": {name: run[name] for name in ("env_name", "task", "env_spec") if name in run},
        **_spaces(run),
        "horizon_length": algorithm.horizon_length,
        "chunk_steps": steps,
        "execute_steps": run.get("execute_steps") or steps,
        "normalization": None if mean is None or std is None else {"mean": _plain(mean), "std": _plain(std)},
        "provenance": {
            "checkpoint": path.name,
            "sha256": file_hash(path),
            "member": member.as_dict(),
            "update": section["update"],
            "data": run["data"],
            "trained_with": section["version"],
            "exported_with": {
                **versions(algorithm.device),
                **{name: importlib.metadata.version(name) for name in packages},
            },
        },
    }


def input_descriptions(program: PolicyProgram) -> dict[str, Any]:
    """Inputs of a program: type, shapes, and how noise is distributed."""
    return {
        "dtype": str(program.dtype).removeprefix("torch."),
        "observations": {"shape": ["batch", program.observation_dim]},
        "noise": {
            name: {"shape": ["batch", *one.shape], "distribution": one.distribution}
            for name, one in program.noise.items()
        },
    }


def _spaces(run: Mapping[str, Any]) -> dict[str, Any]:
    """The spaces of the environment itself, which may have other bounds for actions than a policy's [-1, 1]."""
    environment = suite_of(run).make(run)()
    try:
        goal = _has_wrapper(environment, GoalObservation)
        observed, acted = environment.observation_space, environment.action_space
        assert isinstance(observed, Box) and isinstance(acted, Box)
        low, high = acted.low, acted.high
        if isinstance(environment, UnitAction):
            low, high = environment.low, environment.high
    finally:
        environment.close()
    return {
        "observation_space": {
            "shape": list(observed.shape),
            "low": _plain(observed.low),
            "high": _plain(observed.high),
            "parts": list(GOAL_PARTS) if goal else None,
        },
        "action_space": {"shape": list(acted.shape), "low": _plain(low), "high": _plain(high)},
    }


def _has_wrapper(environment: gymnasium.Env, kind: type) -> bool:
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, kind):
            return True
        environment = environment.env
    return False


def _plain(values: Any) -> list[float | None]:
    """Numbers as JSON holds them: None where they are infinite."""
    return [float(one) if np.isfinite(one) else None for one in np.asarray(values, np.float64).ravel()]
