"""Every kind of defect of a data file is found, also beside others, and a sound file has none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ogbench  # noqa: F401  registers the environments
import pytest

from qam_torch.data.catalog import CATALOG
from qam_torch.data.inspection.checks import inspect_file
from qam_torch.data.inspection.findings import Finding

ROWS, EPISODE = 60, 20
Arrays = dict[str, np.ndarray]


def sound(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "observations": rng.normal(size=(ROWS, 3)).astype(np.float32),
        "actions": rng.uniform(-0.9, 0.9, size=(ROWS, 2)).astype(np.float32),
        "terminals": np.arange(ROWS) % EPISODE == EPISODE - 1,
        "qpos": rng.normal(size=(ROWS, 4)).astype(np.float32),
        "qvel": rng.normal(size=(ROWS, 4)).astype(np.float32),
    }


def write(path: Path, arrays: Arrays, val: Arrays | None = None) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    np.savez(path.with_name(f"{path.stem}-val.npz"), **(sound(1) if val is None else val))  # type: ignore[arg-type]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return path


def found(findings: list[Finding], level: str = "error") -> dict[str, list[str]]:
    return {
        check: [one.message for one in findings if one.check == check and one.level == level]
        for check in {one.check for one in findings if one.level == level}
    }


def test_sound_file_has_neither_errors_nor_notes(tmp_path: Path) -> None:
    findings = inspect_file(write(tmp_path / "x.npz", sound()))
    assert {finding.level for finding in findings} == {"ok"}
    assert [finding.check for finding in findings] == [
        "file", "checksum", "arrays", "shapes", "numbers", "actions", "terminals", "episodes", "repeats", "validation",
    ]  # fmt: skip


def put(key: str, index: Any, value: Any) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[key][index] = value

    return change


def replace(key: str, value: Callable[[Arrays], np.ndarray]) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[key] = value(arrays)

    return change


def again(arrays: Arrays) -> None:
    for key in ("observations", "actions"):
        arrays[key][2 * EPISODE :] = arrays[key][:EPISODE]


DEFECTS: dict[str, tuple[Callable[[Arrays], Any], str, str]] = {
    "missing": (lambda a: a.pop("qvel"), "arrays", "missing: qvel"),
    "rows": (replace("qpos", lambda a: a["qpos"][:-1]), "shapes", "'qpos' has 59 rows but 'observations' has 60"),
    "one-dimensional": (replace("actions", lambda a: a["actions"][:, 0]), "shapes", r"'actions' has shape \(60,\)"),
    "integers": (replace("qpos", lambda a: a["qpos"].astype(np.int64)), "shapes", "'qpos' has dtype int64"),
    "no columns": (replace("actions", lambda a: a["actions"][:, :0]), "shapes", r"'actions' has shape \(60, 0\)"),
    "NaN": (put("observations", ([7, 9], [1, 2]), np.nan), "numbers", "2 NaN and 0 infinite, first in row 7"),
    "infinity": (put("qvel", (5, 0), np.inf), "numbers", "'qvel' has 0 NaN and 1 infinite, first in row 5"),
    "actions": (put("actions", (11, 1), -1.5), "actions", "1 of 120 numbers outside .*, first in row 11, largest 1.5"),
    "flags": (
        replace("terminals", lambda a: a["terminals"] * np.int64(2)), "terminals", "3 values other than 0 and 1"
    ),
    "no end": (put("terminals", slice(None), False), "terminals", "never set"),
    "unfinished": (put("terminals", -1, False), "terminals", "20 rows belong to no ended episode"),
    "all terminal": (put("terminals", slice(None), True), "episodes", "no row starts a transition"),
    "twice": (again, "repeats", "1 of 3 repeated: number 2 equals number 0"),
    "objects": (
        replace("qpos", lambda a: np.array([{}] * ROWS, dtype=object)), "file", "'qpos' holds Python objects"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_is_the_only_error(tmp_path: Path, name: str) -> None:
    change, check, pattern = DEFECTS[name]
    arrays = sound()
    change(arrays)
    errors = found(inspect_file(write(tmp_path / "x.npz", arrays)))
    assert list(errors) == [check] and len(errors[check]) == 1
    assert re.search(pattern, errors[check][0])


def test_all_defects_are_reported_at_once(tmp_path: Path) -> None:
    arrays = sound()
    for name in ("missing", "integers", "NaN", "actions", "unfinished"):
        DEFECTS[name][0](arrays)
    path = write(tmp_path / "x.npz", arrays)
    path.with_name("x.npz.sha256").write_text("0" * 64)
    assert set(found(inspect_file(path))) == {"arrays", "shapes", "numbers", "actions", "terminals", "checksum"}


def test_harmless_oddities_are_notes(tmp_path: Path) -> None:
    arrays = sound()
    arrays["actions"][3] = 1.0
    arrays["terminals"][EPISODE] = True  # an episode of one row
    arrays["extra"] = np.zeros(3)
    write(path := tmp_path / "x.npz", arrays)
    path.with_name("x-val.npz").unlink()
    path.with_name("x.npz.sha256").unlink()
    findings = inspect_file(path, published=CATALOG["scene-play-v0"])
    notes = found(findings, "note")
    assert not found(findings)
    assert notes.keys() == {"checksum", "arrays", "actions", "episodes", "validation"}
    assert "2 numbers (1.7%)" in notes["actions"][0]
    assert ["1 have no transition" in note or "1,000 of 1,000" in note for note in notes["episodes"]] == [True, True]


def test_published_lengths_of_training_and_validation_files(tmp_path: Path) -> None:
    """A validation file has a tenth of the episodes."""
    published = CATALOG["scene-play-v0"]._replace(episodes=30, steps=EPISODE - 1)
    path = write(tmp_path / "x.npz", sound())
    assert found(inspect_file(path, published=published), "note").keys() == {"episodes"}
    assert "episodes" not in found(inspect_file(path.with_name("x-val.npz"), published=published), "note")
    assert not found(inspect_file(path, published=published._replace(episodes=3)), "note")


def test_equal_rows_that_are_no_transition_are_no_repeated_episode(tmp_path: Path) -> None:
    arrays = sound()
    arrays["terminals"][:3] = True
    for key in ("observations", "actions"):
        arrays[key][:3] = arrays[key][0]
    assert not found(inspect_file(write(tmp_path / "x.npz", arrays)))


def test_damaged_array_leaves_the_others_checked(tmp_path: Path) -> None:
    arrays = sound()
    arrays["actions"][0] = 7.0
    path = write(tmp_path / "x.npz", arrays)
    data = bytearray(path.read_bytes())
    data[data.index(arrays["qvel"].tobytes()[:64])] ^= 1
    path.write_bytes(data)
    errors = found(inspect_file(path))
    assert errors.keys() == {"file", "checksum", "actions"} and "'qvel'" in errors["file"][0]


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"no npz at all"])
def test_hopeless_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    assert found(inspect_file(tmp_path / "x.npz"))
    assert found(inspect_file(tmp_path / "absent.npz")).keys() == {"file"}


@pytest.mark.parametrize(("common", "level"), [(0, "ok"), (1, "note"), (30, "error")])
def test_rows_of_the_validation_file(tmp_path: Path, common: int, level: str) -> None:
    """A stray row is an accident, many are a leak; equal numbers of another sign of zero or width are equal."""
    arrays, val = sound(), {key: np.concatenate([array] * 3) for key, array in sound(1).items()}
    val["observations"][0, 0] = 0.0
    val["terminals"][:] = False
    for key in ("observations", "actions"):
        arrays[key][:common] = val[key][:common]
    arrays["observations"][0, 0] = -arrays["observations"][0, 0]
    if not common:
        arrays["observations"][0, 0] = 5.0
    val = {key: array.astype(np.float64) if array.dtype == np.float32 else array for key, array in val.items()}
    (finding,) = [one for one in inspect_file(write(tmp_path / "x.npz", arrays, val)) if one.check == "validation"]
    assert finding.level == level and finding.message.startswith(f"{common} rows")


class Arm(gymnasium.Env):
    """As much of an environment as is looked at."""

    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    model = type("Model", (), {"nq": 4, "nv": 4})()
    _num_buttons, _num_button_states = 2, 3


def buttoned(states: int = 3, buttons: int = 2) -> Arrays:
    arrays = sound()
    arrays["observations"] = np.clip(arrays["observations"], -2, 2)
    arrays["button_states"] = np.arange(ROWS * buttons).reshape(ROWS, buttons) % states
    return arrays


def test_file_of_its_environment(tmp_path: Path) -> None:
    findings = inspect_file(write(tmp_path / "x.npz", buttoned()), Arm())
    assert not found(findings) and {"environment", "buttons"} <= {finding.check for finding in findings}


@pytest.mark.parametrize(
    ("change", "check", "pattern"),
    [
        (replace("observations", lambda a: a["observations"][:, :2]), "environment", "'observations' has size 2"),
        (replace("actions", lambda a: a["actions"][:, :1]), "environment", "'actions' has size 1"),
        (replace("qpos", lambda a: a["qpos"][:, :3]), "environment", "'qpos' has size 3"),
        (replace("qvel", lambda a: a["qvel"][:, :3]), "environment", "'qvel' has size 3"),
        (put("observations", ([1, 2], 0), [-2.5, 2.5]), "environment", "2 observations outside"),
        (put("button_states", (4, 1), 3), "buttons", "1 button states that do not exist"),
        (put("button_states", (4, 1), -1), "buttons", "1 button states that do not exist"),
        (replace("button_states", lambda a: a["button_states"][:, :1]), "buttons", "size 1, but .* 2 buttons"),
        (lambda a: a.pop("button_states"), "buttons", "no 'button_states'"),
    ],
)
def test_file_of_another_environment(tmp_path: Path, change: Callable[[Arrays], Any], check: str, pattern: str) -> None:
    arrays = buttoned()
    change(arrays)
    errors = found(inspect_file(write(tmp_path / "x.npz", arrays), Arm()))
    assert list(errors) == [check] and re.search(pattern, errors[check][0])


def test_positions_outside_the_maze(tmp_path: Path) -> None:
    arrays = sound()
    arrays["qpos"] = np.clip(arrays["qpos"], -3, 3)
    assert not found(inspect_file(write(tmp_path / "x.npz", arrays), extent=(-4, 4, -4, 4)))
    arrays["qpos"][[3, 8], [0, 1]] = 4.5
    assert "2 positions" in found(inspect_file(write(tmp_path / "x.npz", arrays), extent=(-4, 4, -4, 4)))["maze"][0]


@pytest.mark.slow
def test_sizes_of_an_ogbench_environment(tmp_path: Path) -> None:
    """The arm's environments have a model only after a reset."""
    environment = gymnasium.make("puzzle-3x3-v0", disable_env_checker=True)
    errors = found(inspect_file(write(tmp_path / "x.npz", sound()), environment))
    assert errors["environment"][0] == "'observations' has size 3, but puzzle-3x3-v0 has 55"
    assert errors["buttons"] == ["no 'button_states', but the environment has 9 buttons"]
