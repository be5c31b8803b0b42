"""A user's own file, against arrays worked out by hand and an obvious reader, and errors for damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.custom_npz import custom_steps
from qam_torch.data.npz import HDF5_SIGNATURE
from qam_torch.data.transitions import ACTION_LIMIT, Transitions
from qam_torch.types import QamError

LOW, HIGH = np.array([-2.0, 0.0]), np.array([2.0, 4.0])


def arrays(rows: int = 8, **changes: Any) -> dict[str, Any]:
    """Episodes of rows 0 1 2 (terminal), 3 4 5 (cut) and 6 7 (where the file ends); state i is i."""
    flags = np.zeros((2, rows), bool)
    flags[0, 2], flags[1, 5:6] = True, True
    made: dict[str, Any] = {
        "observations": np.arange(rows, dtype=np.float32)[:, None],
        "actions": np.linspace(LOW, HIGH, rows),
        "rewards": np.arange(rows) / 10.0,
        "terminals": flags[0],
        "timeouts": flags[1],
        **changes,
    }
    return {name: array for name, array in made.items() if array is not None}


def read(path: Path) -> Transitions:
    return custom_steps(path).transitions(LOW, HIGH, f"data file {path}")


def load(directory: Path, **changes: Any) -> Transitions:
    np.savez(directory / "own.npz", **arrays(**changes))
    return read(directory / "own.npz")


def steps(data: Transitions) -> list[tuple[float, float, float, bool]]:
    """(state, next state, mask, last of its episode) of each transition."""
    columns = data.states[data.state_rows, 0], data.states[data.next_rows, 0], data.masks, data.terminals
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_without_next_states_a_cut_row_is_dropped_and_a_terminal_one_kept(tmp_path: Path) -> None:
    data = load(tmp_path)
    assert steps(data) == [
        (0, 1, 1, False), (1, 2, 1, False), (2, 2, 0, True),
        (3, 4, 1, False), (4, 5, 1, True),
        (6, 7, 1, True),
    ]  # fmt: skip
    np.testing.assert_allclose(data.rewards, [0.0, 0.1, 0.2, 0.3, 0.4, 0.6], atol=1e-7)
    assert len(data.states) == 8, "every state once"


def test_with_next_states_every_row_is_a_transition(tmp_path: Path) -> None:
    following = np.array([1, 2, 90, 4, 5, 60, 7, 80], np.float32)[:, None]
    data = load(tmp_path, next_observations=following)
    assert steps(data) == [
        (0, 1, 1, False), (1, 2, 1, False), (2, 90, 0, True),
        (3, 4, 1, False), (4, 5, 1, False), (5, 60, 1, True),
        (6, 7, 1, False), (7, 80, 1, True),
    ]  # fmt: skip
    assert len(data.states) == 11, "the three that are no row's state are added"


flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(flags)
def test_any_flags_against_an_obvious_reader(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    expected, episodes, started = [], [], 0
    for i, (terminal, cut) in enumerate(rows):
        if terminal or cut or i == len(rows) - 1:
            episodes.append(range(started, i + 1))
            started = i + 1
    for episode in episodes:
        kept = [(i, i if rows[i][0] else i + 1, 0.0 if rows[i][0] else 1.0) for i in episode]
        kept = [step for step in kept if step[1] in episode]
        expected += [(*step, step is kept[-1]) for step in kept]
    terminals, timeouts = np.array(rows, bool).T
    options = arrays(len(rows) + 8, terminals=terminals, timeouts=timeouts)
    cut_to = {name: array[: len(rows)] for name, array in options.items()}
    path = tmp_path_factory.mktemp("own") / "own.npz"
    np.savez(path, **cut_to)
    if expected:
        assert steps(read(path)) == expected
    else:
        with pytest.raises(QamError, match="no row has a next one"):
            read(path)


def test_truncations_are_timeouts_and_no_flags_are_one_episode(tmp_path: Path) -> None:
    first = steps(load(tmp_path))
    assert steps(load(tmp_path, timeouts=None, truncations=arrays()["timeouts"])) == first
    assert steps(load(tmp_path, timeouts=arrays()["timeouts"].astype(float))) == first
    whole = load(tmp_path, timeouts=None, terminals=np.zeros(8, bool))
    assert (whole.num_episodes, whole.num_transitions) == (1, 7)


def test_whole_numbers_are_numbers_and_other_arrays_are_left_alone(tmp_path: Path) -> None:
    data = load(tmp_path, observations=np.arange(8)[:, None], infos=np.array(["a", None], object))
    assert data.states.dtype == torch.float32 and data.states[:, 0].tolist() == list(range(8))


def test_actions_are_scaled_to_the_unit_box(tmp_path: Path) -> None:
    actions = np.array([[-2, 0], [2, 4], [0, 2], [1, 1], *[[0, 2]] * 4])
    got = load(tmp_path, actions=actions, next_observations=np.zeros((8, 1))).actions
    expected = np.array([[-1, -1], [1, 1], [0, 0], [0.5, -0.5], *[[0, 0]] * 4])
    np.testing.assert_allclose(got, expected.clip(-ACTION_LIMIT, ACTION_LIMIT), atol=1e-7)


def test_rounding_does_not_leave_the_bounds_but_more_does() -> None:
    low, high = np.array([0.1]), np.array([0.4])
    assert unit_actions(np.array([[0.1], [0.4]], np.float32), low, high, "x").tolist() == [[-1.0], [1.0]]
    with pytest.raises(QamError, match=r"x: .* first in row 1 \(\[0.41\], expected \[0.1\] to \[0.4\]"):
        unit_actions(np.array([[0.2], [0.41], [0.5]]), low, high, "x")


class Trap:
    """Leaves a mark where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


bad = np.zeros(8)
bad[3] = np.nan
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a required array is missing": ({"rewards": None}, "has no 'rewards': expected observations, actions, rewards"),
    "two names of one thing": ({"truncations": np.zeros(8, bool)}, "both 'timeouts' and 'truncations'"),
    "one axis of observations": ({"observations": np.zeros(8)}, r"'observations' has shape \(8,\), expected \(N, O\)"),
    "two axes of rewards": (
        {"rewards": np.zeros((8, 1))},
        r"'rewards' has shape \(8, 1\), expected \(N,\): drop the last axis, e.g. array.reshape\(-1\)",
    ),
    "no axis of actions": ({"actions": np.float64(3)}, r"'actions' has shape \(\), expected \(N, A\)"),
    "no rows": (dict.fromkeys(arrays(), np.zeros((0,))) | {"observations": np.zeros((0, 1))}, r"has shape \(0, 1\)"),
    "fewer rows": ({"rewards": np.zeros(7)}, "'rewards' has 7 rows but 'observations' has 8"),
    "other next states": (
        {"next_observations": np.zeros((8, 2))},
        "'next_observations' has size 2 but 'observations' has 1",
    ),
    "NaN": ({"rewards": bad}, "'rewards' has NaN or infinity, first in row 3"),
    "infinity": ({"next_observations": np.full((8, 1), np.inf)}, "'next_observations' has NaN or infinity"),
    "flags that are none": ({"terminals": np.arange(8)}, "'terminals' has values other than 0 and 1"),
    "words": ({"rewards": np.array(list("abcdefgh"))}, "'rewards' has dtype"),
    "complex numbers": ({"rewards": np.zeros(8, complex)}, "'rewards' has dtype"),
    "Python objects": ({"rewards": np.array([Trap()] * 8, object)}, "Python objects, which are never loaded"),
    "other actions": ({"actions": np.zeros((8, 3))}, r"'actions' has shape \(8, 3\), expected \(N, 2\)"),
    "actions out of bounds": ({"actions": np.zeros((8, 2)) - np.eye(8, 2, -4)}, "first in row 5"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=list(MISTAKES))
def test_what_is_wrong_is_reported(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(QamError, match=message) as error:
        load(tmp_path, **changes)
    assert str(error.value).startswith(f"data file {tmp_path}/own.npz") and "\n" not in str(error.value)


def test_an_hdf5_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(HDF5_SIGNATURE + bytes(100))
    with pytest.raises(QamError, match=f"data file {path} is an HDF5 file, not an npz file: train with env=hdf5 path="):
        read(path)
    path.write_bytes(b"PK" + bytes(100))
    with pytest.raises(QamError, match="is truncated or damaged"):
        read(path)
