"""Replay recorded updates of the reference implementation with the library's ordinary classes, in float64.

A recorded case contains the parameters, batches, random draws and results of a few updates of the reference
implementation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qam_torch.algorithms import Algorithm
from qam_torch.parity.method_names import algorithm_for, names_for
from qam_torch.parity.names import ONE_DRAW_MORE, Names
from qam_torch.parity.report import TOLERANCE, Report
from qam_torch.parity.samplers import SAMPLERS, check_agent_batch
from qam_torch.types import Batch, Draw, Policy, QamError

__all__ = ["TOLERANCE", "Report", "verify_case"]


def _load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as npz:
            arrays = {key: npz[key] for key in npz.files}
        return json.loads(str(arrays["case_json"])), arrays
    except FileNotFoundError:
        raise QamError(f"no file at '{path}': give the path of a recorded case (.npz)") from None
    except Exception as error:  # numpy raises many kinds of errors for damaged archives; all mean the same to the user
        raise QamError(
            f"'{path}' is not a readable reference case ({error}): expected an .npz with case_json"
        ) from None


def _as_tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(array, dtype=np.float64))


def _load_parameters(algorithm: Algorithm, names: Names, recorded: dict[str, np.ndarray]) -> None:
    own = dict(algorithm.named_parameters())
    given = {}
    for name, array in recorded.items():
        if not names.is_constant(name):
            given[names.parameter(name)] = _as_tensor(array)
    if own.keys() != given.keys():
        difference = ", ".join(sorted(own.keys() ^ given.keys())[:3])
        raise QamError(f"the case's parameters are not those of {type(algorithm).__name__}: {difference} differ")
    with torch.no_grad():
        for name, value in given.items():
            own[name].copy_(value.reshape(own[name].shape))


def _batch(report: Report, u: int, every_step: bool) -> Batch:
    """Build an update's batch from the last column of each recorded field, which holds the chunk's sum.

    Actions are flattened. If `every_step` is True, windows have one mask per step, and all columns of `valid` are used.
    """
    fields = {name: _as_tensor(array) for name, array in report.under(f"batch{u}/").items()}
    return Batch(
        observations=fields["observations"][None],
        actions=fields["actions"].flatten(1)[None],
        rewards=fields["rewards"][None, :, -1],
        masks=fields["masks"][None, :, -1],
        valid=fields["valid"][None] if every_step else fields["valid"][None, :, -1],
        next_observations=fields["next_observations"][None, :, -1],
    )


def _draw(name: str, draw: Draw, recorded: np.ndarray) -> Tensor:
    array = _as_tensor(recorded)
    return (array[: draw.shape[0]] if name in ONE_DRAW_MORE else array).reshape(1, *draw.shape)


def _noise(algorithm: Algorithm, recorded: dict[str, np.ndarray], batch_size: int) -> dict[str, Tensor]:
    """Reshape the recorded draws to the library's shapes."""
    named = {}
    for name, draw in algorithm.draws(batch_size).items():
        if name not in recorded:
            raise QamError(f"the case has no draw '{name}', which {type(algorithm).__name__} consumes")
        named[name] = _draw(name, draw, recorded[name])
    if extra := recorded.keys() - named.keys():
        raise QamError(f"the case records draws that {type(algorithm).__name__} does not consume: {sorted(extra)}")
    return named


def _check_gradient_statistics(report: Report, u: int, gradients: dict[str, Tensor]) -> None:
    """Check the gradient's maximum, minimum and norm.

    The reference takes the extremes over all parameters, and frozen parameters have gradient zero. Its norm is the sum
    of the norms of all parameters' gradients.
    """
    flat = torch.cat([gradient.flatten() for gradient in gradients.values()])
    statistics = {
        "max": flat.max().clamp(min=0),
        "min": flat.min().clamp(max=0),
        "norm": sum(gradient.norm() for gradient in gradients.values()),
    }
    for name, value in statistics.items():
        report.check("losses", f"info{u}/grad/{name}", value)


def _verify_algorithm(case: dict[str, Any], report: Report) -> None:
    algorithm, names = algorithm_for(case).double(), names_for(case)
    _load_parameters(algorithm, names, report.under("params0/"))
    algorithm.configure_optimizers()
    batch_size = case["batch_size"]
    for u in range(case["updates"]):
        batch = _batch(report, u, every_step=algorithm.windows == "rql")
        if f"agent_batch{u}/terminals" in report.arrays:  # recorded if the agent computes the windows itself
            check_agent_batch(report, u, case["horizon_length"], case["config"]["discount"])
        noise = _noise(algorithm, report.under(f"draw{u}/"), batch_size)
        if u == 0:
            for name, trace in algorithm.traces(batch, noise).items():
                report.check(name, f"trace0/{name}", trace)
        terms = algorithm.compute_gradients(batch, noise)
        reported = {**algorithm.report(terms, diagnose=True), **algorithm.report(terms, diagnose=False)}
        for name in [key for key in report.arrays if key.startswith(f"info{u}/") and "/grad/" not in key]:
            report.check("losses", name, names.metric(name.removeprefix(f"info{u}/"), reported))
        gradients = {name: p.grad for name, p in algorithm.named_parameters() if p.grad is not None}
        _check_gradient_statistics(report, u, gradients)
        for key in [key for key in report.arrays if key.startswith(f"grad{u}/")]:
            report.check("gradients", key, gradients[names.parameter(key.removeprefix(f"grad{u}/"))])
        own = dict(algorithm.named_parameters())
        before = {name: p.clone() for name, p in own.items() if name.startswith("targets.")}
        algorithm.apply_gradients()
        if f"full_update{u}" in report.arrays:  # recorded if the targets do not move at every update
            moved = any(not torch.equal(own[name], target) for name, target in before.items())
            report.check("targets moved", f"full_update{u}", moved)
        for key in [key for key in report.arrays if key.startswith(f"params{u + 1}/")]:
            name = key.removeprefix(f"params{u + 1}/")
            constant = names.is_constant(name)
            value = report.arrays[f"params0/{name}"] if constant else own[names.parameter(name)]
            report.check("constants" if constant else "parameters", key, value)
    _verify_acting(report, "act", algorithm, algorithm.policy)
    if "act_online/actions" in report.arrays:  # recorded if another policy collects data
        _verify_acting(report, "act_online", algorithm, algorithm.collection_policy or algorithm.policy)


def _verify_acting(report: Report, group: str, algorithm: Algorithm, policy: Policy) -> None:
    acting = report.under(f"{group}/")
    expected = acting.pop("actions")
    observations = _as_tensor(acting.pop("observations"))[None]
    shapes = policy.draws(observations.shape[1])
    noise = {name: _draw(name, shapes[name], array) for name, array in acting.items()}
    with torch.no_grad():
        report.check("actions", f"{group}/actions", policy(observations, noise))
    if expected.shape[-1] != algorithm.chunk_dim:
        raise QamError(f"the case acts with {expected.shape[-1]} numbers, the method with {algorithm.chunk_dim}")


def verify_case(path: str | Path) -> Report:
    """Replay one recorded case.

    Args:
        path: path of an .npz file in the format of tests/golden/README.md.

    Returns:
        Report with the `errors` by group, the `unchecked` arrays, and `passed()`.

    Raises:
        QamError: the file is not a complete case of a known method.
    """
    case, arrays = _load(Path(path))
    report = Report(arrays)
    try:
        SAMPLERS.get(case["agent"], _verify_algorithm)(case, report)
    except KeyError as error:
        raise QamError(f"'{path}' is not a case this version can replay: {error} is missing or unknown") from None
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, QamError):
            raise
        reason = " ".join(str(error).split())[:160]
        raise QamError(
            f"'{path}' contradicts itself ({reason}): its arrays and case_json do not fit together"
        ) from None
    return report
