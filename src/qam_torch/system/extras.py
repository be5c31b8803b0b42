"""The library's optional packages, and how they are installed."""

from __future__ import annotations

import importlib.metadata
import shlex

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """The command that installs the packages of an extra, from what the installed library declares.

    The library itself is on no package index, so that `pip install` with its name and an extra would find nothing.

    Args:
        extra: its name in pyproject.toml, e.g. "minari".

    Returns:
        For example "pip install 'minari[hdf5,hf]>=0.5.3'".
    """
    declared = (line.partition(";") for line in importlib.metadata.requires("qam-torch") or ())
    packages = [name.strip() for name, _, marker in declared if f"extra == '{extra}'" in marker.replace('"', "'")]
    assert packages, extra
    return shlex.join(["pip", "install", *packages])
