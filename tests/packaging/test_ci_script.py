"""`.ci/run`: lint and docs at once, in an environment that neither changes; the result of both counts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT

MAKE = """#!/bin/sh
for target; do :; done
case "$*" in *test-all*) target=test-all ;; esac
target=$(basename "$target")
echo "begin $target" >> "$LOG"
[ "$target" = lint ] && sleep 0.5
echo "end $target" >> "$LOG"
case " $FAILING " in *" $target "*) exit 2 ;; esac
"""


@pytest.mark.parametrize("failing", ["", ".installed-docs", "lint", "docs", "lint docs"])
def test_tests_run_only_if_lint_and_docs_pass_and_both_have_ended(failing: str, tmp_path: Path) -> None:
    (tmp_path / "make").write_text(MAKE)
    (tmp_path / "make").chmod(0o755)
    log = tmp_path / "log"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), "FAILING": failing}
    done = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, timeout=60)
    lines = log.read_text().splitlines()
    assert lines[:4] == ["begin install", "end install", "begin .installed-docs", "end .installed-docs"]
    assert (done.returncode == 0) == (failing == "")
    if failing == ".installed-docs":
        assert len(lines) == 4
        return
    assert {"end lint", "end docs"} <= set(lines), "both are waited for"
    assert ("begin test-all" in lines) == (failing == "")
