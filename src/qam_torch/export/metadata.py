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
"""Key of the exported file's metadata under which this description is stored as JSON."""

VERSION = 1
"""Version of the metadata format."""


def metadata_of(
    checkpoint: Mapping[str, Any], path: Path, algorithm: Algorithm, member: Member, packages: tuple[str, ...]
) -> dict[str, Any]:
    """Describe a policy: inputs, outputs, execution of its actions, and provenance.

    Args:
        checkpoint: loaded checkpoint that contains the policy.
        path: checkpoint file.
        algorithm: the policy's algorithm, with this one member.
        member: address of the member in the checkpoint.
        packages: packages used by the export; their versions are recorded.

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
        "normalization": None if mean is None or std is None else {"mean": _json_list(mean), "std": _json_list(std)},
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
    """Inputs of a program: dtype, shapes and noise distributions."""
    return {
        "dtype": str(program.dtype).removeprefix("torch."),
        "observations": {"shape": ["batch", program.observation_dim]},
        "noise": {
            name: {"shape": ["batch", *one.shape], "distribution": one.distribution}
            for name, one in program.noise.items()
        },
    }


def _spaces(run: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's spaces. Action bounds are those before scaling to the policy's [-1, 1]."""
    environment = suite_of(run).make(run)()
    try:
        has_goal = _has_wrapper(environment, GoalObservation)
        observations, actions = environment.observation_space, environment.action_space
        assert isinstance(observations, Box) and isinstance(actions, Box)
        low, high = actions.low, actions.high
        if isinstance(environment, UnitAction):
            low, high = environment.low, environment.high
    finally:
        environment.close()
    return {
        "observation_space": {
            "shape": list(observations.shape),
            "low": _json_list(observations.low),
            "high": _json_list(observations.high),
            "parts": list(GOAL_PARTS) if has_goal else None,
        },
        "action_space": {"shape": list(actions.shape), "low": _json_list(low), "high": _json_list(high)},
    }


def _has_wrapper(environment: gymnasium.Env, kind: type) -> bool:
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, kind):
            return True
        environment = environment.env
    return False


def _json_list(values: Any) -> list[float | None]:
    """A flat list of floats. Infinite and NaN entries become None, because JSON has neither."""
    return [float(one) if np.isfinite(one) else None for one in np.asarray(values, np.float64).ravel()]
