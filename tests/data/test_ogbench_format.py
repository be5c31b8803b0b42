"""Reading and writing OGBench files: every defect gets its own sentence, and a written file is never half there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from qam_torch.data.ogbench_format import content_mark, file_hash, read_npz, write_npz_atomic
from qam_torch.types import QamError

ROWS = 12


def raw_arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "observations": rng.normal(size=(ROWS, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(ROWS, 2)).astype(np.float32),
        "terminals": np.arange(ROWS) % 6 == 5,
        "qpos": rng.normal(size=(ROWS, 4)).astype(np.float32),
        "qvel": rng.normal(size=(ROWS, 4)).astype(np.float32),
    }
    return {**arrays, **changes}


def saved(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def with_value(key: str, index: tuple[int, ...], value: float) -> dict[str, np.ndarray]:
    arrays = raw_arrays()
    arrays[key] = arrays[key].copy()
    arrays[key][index] = value
    return arrays


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays = raw_arrays(button_states=np.arange(ROWS * 2).reshape(ROWS, 2))
    write_npz_atomic(tmp_path / "x.npz", arrays)
    read = read_npz(tmp_path / "x.npz", observation_dim=3, action_dim=2)
    assert read.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)


def test_dtypes_are_ogbenchs(tmp_path: Path) -> None:
    doubles = {key: array.astype(np.float64) for key, array in raw_arrays().items()}
    write_npz_atomic(tmp_path / "x.npz", {**doubles, "button_states": np.zeros((ROWS, 2), np.int32)})
    with np.load(tmp_path / "x.npz") as file:
        dtypes = {key: file[key].dtype for key in file.files}
    assert dtypes.pop("terminals") == np.dtype(bool)
    assert dtypes.pop("button_states") == np.int64
    assert set(dtypes.values()) == {np.dtype(np.float32)}


def test_doubles_and_numeric_terminals_are_accepted(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", {key: array.astype(np.float64) for key, array in raw_arrays().items()})
    read = read_npz(path)
    assert read["observations"].dtype == np.float32
    assert read["terminals"].dtype == bool
    assert np.flatnonzero(read["terminals"]).tolist() == [5, 11]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"qpos": np.array([{}] * ROWS, dtype=object)}, "'qpos' holds Python objects"),
        ({"actions": np.zeros(ROWS, np.float32)}, r"'actions' has shape \(12,\), expected \(N, A\)"),
        ({"actions": np.zeros((ROWS, 0), np.float32)}, r"'actions' has shape \(12, 0\)"),
        ({"actions": np.zeros((ROWS - 1, 2), np.float32)}, "'actions' has 11 rows but 'observations' has 12"),
        ({"observations": np.zeros((ROWS, 3), np.int64)}, "'observations' has dtype int64, expected floating"),
        ({"button_states": np.zeros((ROWS, 1), np.float32)}, "'button_states' has dtype float32, expected integers"),
        ({"terminals": np.zeros(ROWS, bool)}, r"'terminals' is never True: set it to True on the last row"),
        ({"terminals": np.ones(ROWS, bool)}, "'terminals' is True on every row"),
        ({"terminals": np.arange(ROWS) == 4}, r"set terminals\[-1\] to True, or drop the rows after 4"),
        ({"terminals": np.arange(ROWS, dtype=np.float32)}, "values other than 0 and 1"),
        ({key: array[:0] for key, array in raw_arrays().items()}, r"'observations' has shape \(0, 3\)"),
        (with_value("observations", (7, 1), np.nan), "'observations' has NaN or infinity, first in row 7"),
        (with_value("qvel", (3, 0), np.inf), "'qvel' has NaN or infinity, first in row 3"),
        ({"actions": np.full((ROWS, 2), -1e39)}, r"'actions' has -1e\+39 in row 0, but float32 holds numbers up to"),
    ],
)
def test_defects_in_the_arrays(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str) -> None:
    path = saved(tmp_path / "x.npz", raw_arrays(**changes))
    with pytest.raises(QamError, match=sentence) as caught:
        read_npz(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["observations", "actions", "terminals", "qpos", "qvel"])
def test_missing_key(tmp_path: Path, key: str) -> None:
    arrays = raw_arrays()
    del arrays[key]
    with pytest.raises(QamError, match=f"has no '{key}'"):
        read_npz(saved(tmp_path / "x.npz", arrays))


def test_wrong_environment_sizes(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", raw_arrays())
    with pytest.raises(QamError, match="'observations' has size 3 but the environment's is 46"):
        read_npz(path, observation_dim=46)
    with pytest.raises(QamError, match="'actions' has size 2 but the environment's is 5"):
        read_npz(path, observation_dim=3, action_dim=5)


def test_hash_names_the_content(tmp_path: Path) -> None:
    write_npz_atomic(tmp_path / "a.npz", raw_arrays())
    write_npz_atomic(tmp_path / "b.npz", raw_arrays())
    write_npz_atomic(tmp_path / "c.npz", with_value("actions", (0, 0), 0.5))
    assert file_hash(tmp_path / "a.npz") == file_hash(tmp_path / "b.npz") != file_hash(tmp_path / "c.npz")


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npz_atomic(tmp_path / "x.npz", raw_arrays())
    before = file_hash(tmp_path / "x.npz")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(QamError, match="No space left on device"):
        write_npz_atomic(tmp_path / "x.npz", with_value("actions", (0, 0), 0.5))
    assert file_hash(tmp_path / "x.npz") == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(QamError, match="cannot write data file"):
        write_npz_atomic(tmp_path / "file" / "x.npz", raw_arrays())


def test_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from qam_torch.data.ogbench_format import write_npz_atomic\n"
        "r, n = np.random.default_rng(0), 40000\n"
        "arrays = {k: r.normal(size=(n, 4)) for k in ('observations', 'actions', 'qpos', 'qvel')}\n"
        "arrays['terminals'] = np.arange(n) % 100 == 99\n"
        "while True:\n"
        "    write_npz_atomic(sys.argv[1], arrays)\n"
    )
    path = tmp_path / "x.npz"
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], env={**os.environ, **_source_path()})
    try:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        while not any(part.stat().st_size > 1000 for part in tmp_path.glob(".x.npz.*.tmp")):  # inside a later write
            assert child.poll() is None and time.monotonic() < deadline
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(read_npz(path)["actions"]) == 40000


def _source_path() -> dict[str, str]:
    import qam_torch.types

    return {"PYTHONPATH": str(Path(qam_torch.types.__file__).parents[1])}


def test_a_mark_tells_files_of_one_size_apart(tmp_path: Path) -> None:
    """Also where the numbers that differ are far from the end."""
    marks = set()
    for value in (0.0, 1.0):
        numbers = np.zeros(100_000)
        numbers[10] = value
        np.savez(tmp_path / "x.npz", numbers=numbers)
        marks.add((content_mark(tmp_path / "x.npz"), (tmp_path / "x.npz").stat().st_size))
    assert len({mark for mark, _ in marks}) == 2 and len({size for _, size in marks}) == 1
