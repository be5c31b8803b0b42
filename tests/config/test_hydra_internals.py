"""The private parts of Hydra that the library uses are there, and their absence has a clear error."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qam_torch.config import hydra_internals
from qam_torch.types import QamError


@pytest.mark.parametrize("name", hydra_internals.__all__)
def test_hydra_still_has_what_the_library_uses(name: str) -> None:
    assert callable(getattr(hydra_internals, name)), "Hydra's private interface has changed: see hydra_internals.py"


def test_a_name_that_hydra_no_longer_has_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hydra_internals.MODULES, "BasicLauncher", "hydra._internal.core_plugins.moved")
    message = r"has no hydra._internal.core_plugins.moved.BasicLauncher, .*: install hydra-core>=1.3,<1.4"
    with pytest.raises(QamError, match=message):
        hydra_internals.BasicLauncher  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Launcher'"):
        hydra_internals.Launcher  # noqa: B018


def test_nothing_of_hydra_is_imported_before_it_is_used() -> None:
    code = "import sys, qam_torch.config.hydra_internals; sys.exit('hydra' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
