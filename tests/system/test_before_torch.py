"""What the commands set before torch is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from qam_torch.system.before_torch import SPINS, prepare_environment


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, str(SPINS)), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(given: dict[str, str], spins: str | None) -> None:
    variables = dict(given)
    prepare_environment(variables)
    assert variables.get("GOMP_SPINCOUNT") == spins
    assert given.items() <= variables.items()


def test_a_directory_of_the_compiler_that_cannot_be_made_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for path, kept in ((tmp_path / "new", True), (tmp_path / "file" / "cache", False)):
        variables = {"TORCHINDUCTOR_CACHE_DIR": str(path)}
        prepare_environment(variables)
        assert ("TORCHINDUCTOR_CACHE_DIR" in variables) is kept
    assert "/file/cache cannot be made (Not a directory): using torch's own directory" in capsys.readouterr().err
