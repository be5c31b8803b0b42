"""Find the suite that `env.source` selects."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from qam_torch.imports import imported
from qam_torch.suites.base import Request, Suite, TaskData
from qam_torch.suites.hdf5 import Hdf5
from qam_torch.suites.minari import Minari
from qam_torch.suites.npz import Npz
from qam_torch.suites.ogbench import OGBench
from qam_torch.types import QamError

__all__ = ["load_data", "suite_named", "suite_of"]

_SUITES: dict[str, Suite] = {"ogbench": OGBench(), "minari": Minari(), "npz": Npz(), "hdf5": Hdf5()}


def suite_named(source: Any) -> Suite:
    """Return the suite that `env.source` selects.

    Args:
        source: short name of one of the library's suites, or import path of a class, e.g. "my_module.MySuite".

    Raises:
        QamError: there is no suite of this name, or the class cannot be imported or lacks a method.
    """
    if isinstance(source, str) and source in _SUITES:
        return _SUITES[source]
    if not isinstance(source, str) or "." not in source:
        raise QamError(
            f"env.source={source} is out of range: expected {', '.join(_SUITES)}, or the path of a class such as "
            "my_module.MySuite"
        )
    return _suite_at(source)


@functools.cache
def _suite_at(path: str) -> Suite:
    kind = imported(path, f"env.source={path}")
    missing = [method for method in ("check", "load", "make", "title") if not callable(getattr(kind, method, None))]
    if missing or not isinstance(kind, type):
        raise QamError(f"env.source={path} is not a suite: expected a class with the methods check, load, make, title")
    return kind()


def suite_of(environment: Mapping[str, Any]) -> Suite:
    """Return the suite of an environment.

    Args:
        environment: description of the environment in a checkpoint, see `TaskData.environment`.
    """
    return suite_named(environment.get("source"))


def load_data(request: Request, device: torch.device, dtype: torch.dtype = torch.float32) -> TaskData:
    """Load the configured data: the whole dataset, or the share given by `data.fraction`.

    Args:
        request: the configured data and environment. The key `env.source` selects the suite.
        device: device of the transitions.
        dtype: dtype of the transitions.
    """
    data = suite_named(request.env.get("source")).load(request, device, dtype)
    return data.fraction(request.data["fraction"])
