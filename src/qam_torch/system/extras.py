"""Find the command that installs the library's optional packages."""

from __future__ import annotations

import importlib.metadata
import shlex

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra.

    The packages are read from the metadata of the installed library. The library is not on a package index, so
    `pip install NAME[EXTRA]` would not find it.

    Args:
        extra: name of the extra in pyproject.toml, e.g. "minari".

    Returns:
        For example "pip install 'minari[hdf5,hf]>=0.5.3'".
    """
    declared = (line.partition(";") for line in importlib.metadata.requires("qam-torch") or ())
    packages = [name.strip() for name, _, marker in declared if f"extra == '{extra}'" in marker.replace('"', "'")]
    assert packages, extra
    return shlex.join(["pip", "install", *packages])
