"""Find the settings that distinguish runs, and make short labels for cells of runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qam_torch.paper import domain_of
from qam_torch.rundir.renamed_keys import with_current_keys
from qam_torch.rundir.result_keys import changes_result

__all__ = ["Cell", "Place", "cell_of", "differing_settings", "labels", "place_of", "format_value"]

MOST_IN_A_LABEL = 3

Items = tuple[tuple[str, Any], ...]


class Place(NamedTuple):
    """The domain and task on which a run was trained.

    Attributes:
        domain: domain of OGBench, e.g. cube-triple-play; for other sources, the environment or dataset.
        task: 1 to 5; None if the environment has no tasks.
    """

    domain: str
    task: int | None

    @property
    def name(self) -> str:
        """Domain and task, e.g. "cube-triple-play, task 2", or the domain alone."""
        return self.domain if self.task is None else f"{self.domain}, task {self.task}"


class Cell(NamedTuple):
    """The settings that runs must share so that their seeds are pooled.

    Attributes:
        domain: domain of the tasks.
        method: name of the method as in algo=NAME.
        settings: sorted (key, value) pairs of all settings that change the result.
    """

    domain: str
    method: str
    settings: Items


def place_of(config: Mapping[str, Any]) -> Place:
    """Read domain and task from a run's configuration.

    Raises:
        LookupError: they are missing.
    """
    env = config["env"]
    name = env.get("env_id") or env.get("dataset") or config["env_name"]
    task = config.get("task")
    return Place(domain_of(name) if task is not None else str(name), task)


def cell_of(config: Mapping[str, Any], own: Mapping[str, float]) -> Cell:
    """Find the cell that a member belongs to.

    Args:
        config: resolved configuration of the run.
        own: hyperparameters of the member; they replace those of the algorithm.
    """
    settings = dict(_flat(with_current_keys(config))) | {f"algo.{name}": value for name, value in own.items()}
    if settings.get("init_from"):  # each seed starts from its own checkpoint
        settings["init_from"] = re.sub(r"seeds?\d+(-\d+)*", "seed*", str(settings["init_from"]))
    kept = tuple(sorted((key, value) for key, value in settings.items() if changes_result(key)))
    return Cell(place_of(config).domain, str(config["algo_name"]), kept)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _hashable(value)


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    # 3 and 3.0 count as the same value. A bool does not count as a number.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def format_value(value: Any) -> str:
    """Format a setting's value as short text, e.g. 0.3, true or [512, 512]."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    return f"[{', '.join(map(format_value, value))}]" if isinstance(value, tuple) else str(value)


def differing_settings(cells: Sequence[Cell]) -> list[str]:
    """Return the keys of settings in which cells differ, including settings that only some cells have."""
    tables = [dict(cell.settings) for cell in cells]
    keys = dict.fromkeys(key for table in tables for key in table)
    return [key for key in keys if len({table.get(key, ...) for table in tables}) > 1]


def labels(experiments: Mapping[Cell, set[str]]) -> dict[Cell, str]:
    """Make a short label for each cell: the method, and the settings in which the cell differs.

    A label is unique within the cell's domain.

    Args:
        experiments: cell -> names of its runs' experiments, as in experiment=NAME.

    Returns:
        Cell -> label, e.g. "qam", "qam, inv_temp=3" or "qam (paper), inv_temp=3". If many settings differ, cells are
        numbered, e.g. "qam #2, lr=0.1". A class is written without its module and without the key _target_, e.g.
        "qam, discretization=AncestralDiscretization".
    """
    names = {cell: " + ".join(sorted(found)) for cell, found in experiments.items()}
    families: dict[tuple[str, str], set[str]] = {}
    for cell, name in names.items():
        families.setdefault(cell[:2], set()).add(name)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell, name in names.items():
        base = f"{cell.method} ({name})" if name and len(families[cell[:2]]) > 1 else cell.method
        groups.setdefault((cell.domain, base), []).append(cell)
    return {cell: label for (_, base), cells in groups.items() for cell, label in _labels_within(base, cells).items()}


def _labels_within(base: str, cells: Sequence[Cell]) -> dict[Cell, str]:
    """Label the cells of one method with all differences.

    If there are more than MOST_IN_A_LABEL, cells are numbered, and labels have only the settings that differ from the
    most common value.
    """
    if len(cells) == 1:
        return {cells[0]: base}
    keys = differing_settings(cells)
    short = {key: key.removesuffix("._target_").rpartition(".")[2] for key in keys}
    names = {key: short[key] if list(short.values()).count(short[key]) == 1 else key for key in keys}
    tables = [dict(cell.settings) for cell in cells]
    if len(keys) <= MOST_IN_A_LABEL:
        return {cell: _joined(base, table, names) for cell, table in zip(cells, tables, strict=True)}
    usual = {key: Counter(table.get(key, ...) for table in tables).most_common(1)[0][0] for key in keys}
    found = {}
    for number, (cell, table) in enumerate(zip(cells, tables, strict=True), 1):
        unusual = {key: names[key] for key in keys if table.get(key, ...) != usual[key]}
        found[cell] = _joined(f"{base} #{number}", table, unusual)
    return found


def _in_label(key: str, value: Any) -> str:
    """Format a value in a label. A class, which the configuration names with its module, is written without it."""
    return str(value).rpartition(".")[2] if key.endswith("._target_") else format_value(value)


def _joined(base: str, settings: Mapping[str, Any], names: Mapping[str, str]) -> str:
    changes = [f"{name}={_in_label(key, settings[key])}" for key, name in names.items() if key in settings]
    more = ["…"] if len(changes) > MOST_IN_A_LABEL else []
    return ", ".join([base, *changes[:MOST_IN_A_LABEL], *more])
