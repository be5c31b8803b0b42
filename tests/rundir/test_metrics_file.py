"""metrics.csv is read as it was written, and damaged files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.types import QamError
from tests.helpers.metric_rows import QAM, evaluation_rows, training_rows, write_metrics


@pytest.fixture
def population(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two seeds, three evaluations of four episodes each, in rows apart from those of training."""
    rates = {10: [0.0, 0.0], 20: [0.25, 0.75], 30: [1.0, 1.0]}
    rows = training_rows(QAM, 3, (7, 8)) + evaluation_rows(rates, (7, 8))
    return read_metrics(write_metrics(tmp_path / "metrics.csv", QAM, rows))


def test_blank_cells_are_nan_and_numbers_are_kept(population: dict[str, np.ndarray]) -> None:
    assert population["seed"].tolist() == [7, 8] * 6
    assert population["update"].tolist() == [10, 10, 20, 20, 30, 30] * 2
    success = population["evaluation/success"]
    assert np.isnan(success[:6]).all() and success[6:].tolist() == [0, 0, 0.25, 0.75, 1, 1]
    assert np.isfinite(population["critic/loss"][:6]).all() and np.isnan(population["critic/loss"][6:]).all()
    assert np.isnan(population["evaluation/return"]).all()


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = write_metrics(tmp_path / "metrics.csv", QAM, training_rows(QAM, 3))
    whole = read_metrics(path)
    path.write_text(path.read_text() + "40,1,0.5,3.1")
    assert all(np.array_equal(column, whole[name], equal_nan=True) for name, column in read_metrics(path).items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header"),
        ("10,1,0.5\n20,1,0.9\n", "no header"),
        ("update,seed,critic/loss\n10,1,0.5\n20,1\n30,1,0.5\n", "line 3 of .* is damaged: expected 3 numbers"),
        ("update,seed,critic/loss\n10,1,abc\n", "line 2 of .* is damaged"),
        ("update,seed,critic/loss\n10,1,0.5,0.5\n", "line 2 of .* is damaged"),
        ("\xff\xfe\x00", "not text"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(QamError, match=message):
        read_metrics(tmp_path / "metrics.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QamError, match=r"nothing.csv' cannot be read \(No such file"):
        read_metrics(tmp_path / "nothing.csv")
