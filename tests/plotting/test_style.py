"""Figures are saved whole or not at all, and matplotlib's state does not change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from qam_torch.plotting.evaluation_curves import success_figure
from qam_torch.plotting.style import colors, save_figure
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.types import QamError
from tests.helpers.metric_rows import QAM, evaluation_rows, is_png, training_rows, write_metrics


@pytest.fixture
def population(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two seeds, three evaluations of four episodes each, in rows apart from those of training."""
    rates = {10: [0.0, 0.0], 20: [0.25, 0.75], 30: [1.0, 1.0]}
    rows = training_rows(QAM, 3, (7, 8)) + evaluation_rows(rates, (7, 8))
    return read_metrics(write_metrics(tmp_path / "metrics.csv", QAM, rows))


def test_a_file_is_replaced_whole_or_kept(
    tmp_path: Path, population: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "plots" / "success.png"
    with pytest.raises(QamError, match=r"could not write .*success.png' \(No such file"):
        save_figure(success_figure(population, 4), target)
    target.parent.mkdir()
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:

        def full(self: Figure, path: Path, **options: object) -> None:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        patch.setattr(Figure, "savefig", full)
        with pytest.raises(QamError, match="No space left on device"):
            save_figure(success_figure(population, 4), target)
    assert target.read_bytes() == b"old" and list(target.parent.iterdir()) == [target]
    assert save_figure(success_figure(population, 4), target) is True
    assert is_png(target) and list(target.parent.iterdir()) == [target]


@pytest.mark.slow
def test_matplotlib_is_left_as_it_was(tmp_path: Path) -> None:
    path = write_metrics(tmp_path / "metrics.csv", QAM, training_rows(QAM, 2) + evaluation_rows({10: [0.5]}, (1,)))
    code = f"""
import sys, matplotlib
before = dict(dict.items(matplotlib.rcParams))  # the plain items: asking for the backend would choose one
from qam_torch.plotting.training_curves import losses_figure
from qam_torch.plotting.metric_panels import group_metrics
from qam_torch.plotting.evaluation_curves import success_figure
from qam_torch.plotting.style import save_figure
from qam_torch.rundir.metrics_file import read_metrics
metrics = read_metrics({str(path)!r})
assert save_figure(losses_figure(metrics), {str(tmp_path / "losses.png")!r})
assert save_figure(success_figure(metrics, 50), {str(tmp_path / "success.png")!r})
print(before == dict(dict.items(matplotlib.rcParams)), "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_colors_differ_and_do_not_change_with_a_few_more() -> None:
    assert [len(set(map(to_hex, colors(count)))) for count in (1, 6, 8, 9, 20)] == [1, 6, 8, 9, 20]
    assert colors(8)[:6] == colors(6)
