"""Situations that users of neighboring projects have reported, each tried by a script (tests/field/README.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT, environment

NOT_RIGHT = {"03", "05", "08", "09", "19"}
"""Cases that are not right yet. `bash tests/field/CASE/run.sh` tries one; once it is right it leaves this set."""

CASES = sorted({path.parent.name for path in Path(__file__).parent.glob("[0-9][0-9]/run.sh")} - NOT_RIGHT)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home directory of all cases, where generated data are kept."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, home: Path) -> None:
    variables = environment(QAM_BIN=str(Path(sys.executable).parent), QAM_SRC=str(ROOT), FIELD_HOME=str(home))
    script = Path(__file__).parent / case / "run.sh"
    done = subprocess.run(["bash", script], env=variables, capture_output=True, text=True, timeout=380, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
