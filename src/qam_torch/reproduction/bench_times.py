"""Estimate the time of a run's updates from measurements of `qam-bench`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qam_torch.rundir.renamed_keys import with_current_keys
from qam_torch.training.settings import RunSettings
from qam_torch.types import QamError

__all__ = ["Bench", "Estimate", "estimate", "read_bench"]

KEYS = ("algo", "size", "population", "precision", "ms_per_update")
MS_PER_HOUR = 3.6e6


class Bench(NamedTuple):
    """Measurements of `qam-bench`.

    Attributes:
        device: the device on which they were made.
        results: one result per method, size and population.
    """

    device: str
    results: Sequence[Mapping[str, Any]]

    @property
    def unit(self) -> str:
        """Unit of the times: "GPU hours", or "hours" for measurements on a CPU."""
        return "hours" if self.device == "cpu" else "GPU hours"


class Estimate(NamedTuple):
    """The estimated time of a run's updates.

    Attributes:
        hours: time in hours.
        note: the measured shapes if they differ from the shapes of the run; empty otherwise.
    """

    hours: float
    note: str


def read_bench(path: Path) -> Bench:
    """Read a file that `qam-bench --json` wrote.

    Raises:
        QamError: the file does not exist, or qam-bench did not write it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = [with_current_keys({key: result[key] for key in KEYS}) for result in content["results"]]
        return Bench(content["machine"]["device"], results)
    except FileNotFoundError:
        raise QamError(f"no file '{path}': write it with qam-bench --json {shlex.quote(str(path))}") from None
    except (OSError, ValueError, LookupError, TypeError):
        raise QamError(
            f"'{path}' is not a file of qam-bench: write it with qam-bench --json {shlex.quote(str(path))}"
        ) from None


def estimate(settings: RunSettings, bench: Bench, sizes: tuple[int, int], updates: int) -> Estimate | None:
    """Estimate the time of a run's updates from a measurement of the same method, size and population.

    Args:
        settings: settings of the run.
        bench: measurements. If several fit, the one with the nearest shapes is used.
        sizes: (O, A), the observation and action dimensions.
        updates: number of updates in the whole run.

    Returns:
        The estimate, or None if no measurement fits.
    """
    wanted = (*sizes, settings.method.options["horizon_length"])

    def distance(result: Mapping[str, Any]) -> int:
        return sum(abs(one - other) for one, other in zip(_shapes(result), wanted, strict=True))

    nearest = min((result for result in bench.results if _fits(result, settings)), key=distance, default=None)
    if nearest is None:
        return None
    observation, action, chunk = _shapes(nearest)
    note = f"measured with {observation} observations and chunks of {chunk} x {action} numbers"
    return Estimate(updates * nearest["ms_per_update"] / MS_PER_HOUR, note if distance(nearest) else "")


def _shapes(result: Mapping[str, Any]) -> tuple[int, int, int]:
    size = result["size"]
    return size["observation_dim"], size["action_dim"], size["horizon_length"]


def _fits(result: Mapping[str, Any], settings: RunSettings) -> bool:
    """Return whether a measurement has the run's method, networks, precision, batch size and number of members."""
    size, method, update = result["size"], settings.method, settings.update
    options = method.options
    return (
        (result["algo"], result["population"]) == (method.name, method.members)
        and result["precision"] == update.precision
        and list(size["hidden"]) == list(options["value_hidden_dims"])
        and (size["num_qs"], size["batch_size"]) == (options["num_qs"], update.batch_size)
        and size["flow_steps"] == options.get("flow_steps", size["flow_steps"])
    )
