"""Find the settings in which runs differ from the published runs, which use experiment=paper."""

from __future__ import annotations

from functools import cache
from typing import Any

from omegaconf import OmegaConf

from qam_torch.config.composition import compose
from qam_torch.paper import domain_of, published
from qam_torch.report.settings import Cell, cell_of

__all__ = ["departures"]


def departures(cell: Cell) -> dict[str, tuple[Any, Any]] | None:
    """Find the settings in which a cell differs from the published runs.

    Returns:
        Setting -> its value in the cell and its published value; None if nothing is published for the cell.
    """
    if not published().has(cell.method, cell.domain):
        return None
    own, theirs = dict(cell.settings), _published_settings(cell.method, cell.domain)
    shared = [key for key in own if key in theirs]  # runs of an older version may lack a setting
    return {key: (own[key], theirs[key]) for key in shared if own[key] != theirs[key]}


@cache
def _published_settings(method: str, domain: str) -> dict[str, Any]:
    config = OmegaConf.to_container(compose(["experiment=paper", f"algo={method}", f"env={domain_of(domain)}"]))
    assert isinstance(config, dict)
    return dict(cell_of({str(key): value for key, value in config.items()}, {}).settings)
