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


@pytest.mark.parametrize(
    ("mistake", "kind"), [("1 + 'a'", TypeError), ("int('a')", ValueError), ("(1).nothing", AttributeError)]
)
def test_a_mistake_in_the_module_is_not_taken_for_a_wrong_path(
    mistake: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"module_with_a_{kind.__name__}"
    (tmp_path / f"{name}.py").write_text(f"class Method:\n    total = {mistake}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kind):
        imported(f"{name}.Method", "algo=x")
