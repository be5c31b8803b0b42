"""The suites by the name that `env.source` gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig

from qam_torch.suites.base import Suite, TaskData
from qam_torch.suites.minari import Minari
from qam_torch.suites.npz import Npz
from qam_torch.suites.ogbench import OGBench
from qam_torch.types import PRECISIONS, QamError

__all__ = ["load_data", "suite_named", "suite_of"]

_SUITES: dict[str, Suite] = {"ogbench": OGBench(), "minari": Minari(), "npz": Npz()}


def suite_named(source: Any) -> Suite:
    """The suite that `env.source` names; raises QamError for an unknown name."""
    if source not in _SUITES:
        raise QamError(f"env.source={source} is out of range: expected {', '.join(_SUITES)}")
    return _SUITES[source]


def suite_of(environment: Mapping[str, Any]) -> Suite:
    """The suite of an environment that a checkpoint describes, see `TaskData.environment`."""
    return suite_named(environment.get("source"))


def load_data(config: DictConfig, device: torch.device) -> TaskData:
    """Load a configuration's data: all of the dataset, or the share that `data.fraction` gives."""
    data = suite_named(config.env.source).load(config, device, getattr(torch, PRECISIONS[config.precision]))
    return data.fraction(config.data.fraction)
