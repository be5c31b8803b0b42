"""The command that a message recommends for a missing package installs what pyproject.toml declares."""

from __future__ import annotations

import ast
import shlex
import tomllib

import pytest

from qam_torch.system.extras import install_command
from tests.helpers.runs import ROOT

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
RECOMMENDED = sorted(
    {
        call.args[0].value
        for path in (ROOT / "src").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "install_command"
        if isinstance(call.args[0], ast.Constant)
    }
    | {"joblib", "slurm", "ray", "optuna"}
)


@pytest.mark.parametrize("extra", RECOMMENDED)
def test_it_is_that_of_the_extra(extra: str) -> None:
    pip, install, *packages = shlex.split(install_command(extra))
    assert (pip, install) == ("pip", "install")
    assert sorted(packages) == sorted(DECLARED[extra])


def test_every_message_uses_it() -> None:
    assert len(RECOMMENDED) > 7
    literal = [path for path in (ROOT / "src").rglob("*.py") if "pip install" in path.read_text()]
    assert [path.name for path in literal] == ["extras.py"]
