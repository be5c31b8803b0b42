"""The private parts of Hydra that this library depends on.

Each name is imported at its first use, so that a command that does not need it starts faster.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from qam_torch.types import QamError

if TYPE_CHECKING:
    from hydra._internal.config_repository import ConfigRepository
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher
    from hydra._internal.utils import create_config_search_path, get_args_parser

__all__ = ["BasicLauncher", "ConfigRepository", "create_config_search_path", "get_args_parser"]

MODULES = {
    "BasicLauncher": "hydra._internal.core_plugins.basic_launcher",
    "ConfigRepository": "hydra._internal.config_repository",
    "create_config_search_path": "hydra._internal.utils",
    "get_args_parser": "hydra._internal.utils",
}
"""Name -> Hydra module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        return getattr(importlib.import_module(MODULES[name]), name)
    except (ImportError, AttributeError):
        version = importlib.metadata.version("hydra-core")
        raise QamError(
            f"hydra-core {version} has no {MODULES[name]}.{name}, which qam_torch uses: install hydra-core>=1.3,<1.4"
        ) from None
