"""Custom plots: what they may return, and what happens where they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from qam_torch.training import plots
from qam_torch.training.plots import save_plots
from qam_torch.types import QamError


def good(run: Any) -> Figure:
    return Figure()


def nothing(run: Any) -> None:
    return None


def axes(run: Any) -> Any:
    return Figure().subplots()


def broken(run: Any) -> Any:
    return run.nothing


def test_a_plot_that_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plots, "PLOTS", [])
    run: Any = None
    assert save_plots(tmp_path / "plots", run, [broken, axes, nothing, good]) == ["plots/good.png"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["good.png"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == ["plot broken is left out", "plot axes is left out"]


def test_a_plot_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "PLOTS", [])
    (tmp_path / "good.png").mkdir()  # cannot be replaced by a file
    run: Any = None
    with pytest.raises(QamError, match=r"could not write '.*good.png'"):
        save_plots(tmp_path, run, [good])
