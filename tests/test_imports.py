"""Classes by their path: a wrong path is one sentence, a mistake in the module keeps its traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from qam_torch.imports import imported
from qam_torch.types import QamError


@pytest.mark.parametrize("path", ["..Method", ".Method", "Method", "", "nothing.Method", "pathlib.Nothing"])
def test_a_path_that_leads_to_nothing(path: str) -> None:
    with pytest.raises(QamError, match=r"^algo=x cannot be found \(.+\): run the command in the directory"):
        imported(path, "algo=x")


def test_a_mistake_in_the_module_is_not_taken_for_a_wrong_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_with_a_mistake.py").write_text("class Method:\n    total = 1 + 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="unsupported operand"):
        imported("module_with_a_mistake.Method", "algo=x")
