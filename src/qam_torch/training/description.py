"""Make the section of a checkpoint that describes its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.lookup import method_name
from qam_torch.rundir.checkpoints import FORMAT
from qam_torch.rundir.versions import library_version

__all__ = ["describe"]


def describe(
    algorithm: Algorithm, arguments: Mapping[str, Any], run: Mapping[str, Any], online: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the description of a run. It is enough to rebuild the algorithm, and to recognize the same run.

    Args:
        algorithm: the run's algorithm.
        arguments: arguments of the algorithm's constructor, as plain values.
        run: environment, task, hash of the dataset, batch size and other values. A run can only be resumed with equal
            values.
        online: further values, which must be equal once the online phase has begun.
    """
    return {
        "format": FORMAT,
        "version": library_version(),
        "algorithm": method_name(type(algorithm)),
        "arguments": dict(arguments),
        "run": dict(run),
        "online": dict(online),
    }
