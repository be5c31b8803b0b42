"""Grouping of training metrics into panels, and the titles of the panels.

A metric is named `owner/quantity`, where the owner is a network or an objective. Groups are derived from the names:
q_mean, q_min and q_max are statistics of one quantity. So a new method needs no entry here. The tables below only give
some quantities their usual names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Panel", "group_metrics"]

_STATISTICS = ("mean", "std", "min", "max")
# Other quantities that share a panel: quantity -> (quantity of the panel, label in it).
_PARTS = {
    "entropy_loss": ("losses", "entropy"),
    "alpha_loss": ("losses", "temperature"),
    "cost": ("loss", "cost"),
    "energy": ("loss", "energy"),
}
_LOGARITHMIC = ("loss", "distillation_loss", "squared_distance", "alpha", "norm", "terminal")
_OWNERS = {
    "behavior": "behavior-flow",
    "adjoint": "adjoint-matching",
    "one_step": "one-step",
    "actor": "policy",
}
_QUANTITIES = {
    "q_loss": "Q loss",
    "alpha": "temperature",
    "entropy": "entropy (nats)",
    "std": "standard deviation",
}
_TITLES = {
    "critic/q": "Q values",
    "critic/target": "Q targets",
    "value/v": "V values",
    "adjoint/terminal": "|terminal adjoint|",
}


class Panel(NamedTuple):
    """One panel of the figure.

    Attributes:
        title: title above the panel.
        lines: metric -> label of its line.
        band: metrics that are the lower and upper edge of a band, or None.
        log: whether the y axis is logarithmic, if all values are positive.
    """

    title: str
    lines: dict[str, str]
    band: tuple[str, str] | None
    log: bool


def group_metrics(names: Sequence[str]) -> list[Panel]:
    """Group metrics into panels, in order of appearance. Metrics of collected episodes are last.

    Args:
        names: names of metrics, owner/quantity.

    Returns:
        Panels that show each metric once. Minimum and maximum become a band around the mean.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in sorted(names, key=lambda name: name.startswith("collection/")):
        group, label = _place(name)
        groups.setdefault(group, {})[label] = name
    return [_panel(group, members) for group, members in groups.items()]


def _place(name: str) -> tuple[str, str]:
    """A metric's group (owner/quantity), and its label in this group."""
    owner, _, quantity = name.partition("/")
    stem, _, statistic = quantity.rpartition("_")
    if stem and statistic in _STATISTICS:
        return f"{owner}/{stem}", statistic
    part, label = _PARTS.get(quantity, (quantity, quantity))
    return f"{owner}/{part}", label


def _panel(group: str, members: dict[str, str]) -> Panel:
    """The panel of a group; members: label -> metric."""
    band = (members["min"], members["max"]) if {"mean", "min", "max"} <= members.keys() else None
    lines = {name: label.replace("_", " ") for label, name in members.items() if band is None or name not in band}
    return Panel(_title(group), lines, band, group.partition("/")[2] in _LOGARITHMIC)


def _title(group: str) -> str:
    if group in _TITLES:
        return _TITLES[group]
    owner, _, quantity = group.partition("/")
    what = _QUANTITIES.get(quantity, quantity.replace("_", " "))
    if owner == "collection":
        return f"{what} of collected episodes"
    return f"{_OWNERS.get(owner, owner.replace('_', ' '))} {what}"
