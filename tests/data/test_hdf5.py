"""HDF5 files in D4RL's and robomimic's layouts: windows by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.data.custom_npz import custom_steps
from qam_torch.data.hdf5 import hdf5_steps
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError

h5py = pytest.importorskip("h5py")

LOW, HIGH = np.array([-2.0]), np.array([2.0])


def d4rl(path: Path, **changes: Any) -> Path:
    """Six rows, state i in row i: two steps to a terminal state, three to a timeout, and one that the file cuts."""
    arrays: dict[str, Any] = {
        "observations": np.arange(6.0)[:, None],
        "actions": np.array([[0.0], [1.0], [2.0], [-1.0], [-2.0], [0.0]]),
        "rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "terminals": np.arange(6) == 1,
        "timeouts": np.arange(6) == 4,
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array
        file["infos/qpos"] = np.zeros((6, 2))
        file["metadata/algorithm"] = "SAC"
    return path


def robomimic(path: Path, change: Callable[[Any], None] | None = None, next_obs: bool = True) -> Path:
    """Two demonstrations of 3 and 2 steps, demo_2 before demo_10; b/a are the low-dimensional keys, image is not."""
    with h5py.File(path, "w") as file:
        for name, start, steps in (("demo_10", 10.0, 2), ("demo_2", 0.0, 3)):
            group = file.create_group(f"data/{name}")
            state = start + np.arange(steps + 1)
            for part, rows in (("obs", state[:-1]), ("next_obs", state[1:])):
                if part == "obs" or next_obs:
                    group[f"{part}/b"] = rows
                    group[f"{part}/a"] = np.stack([-rows, rows + 0.5], axis=1)
                    group[f"{part}/image"] = np.zeros((steps, 4, 4, 3), np.uint8)
            group["actions"] = np.zeros((steps, 1))
            group["rewards"] = np.arange(steps) + start
            group["dones"] = (np.arange(steps) == steps - 1).astype(np.int64) * (name == "demo_2")
        file["mask/train"] = np.array([b"demo_2"])
        if change is not None:
            change(file["data"])
    return path


def load(path: Path, obs_keys: list[str] | None = None) -> Transitions:
    return hdf5_steps(path, obs_keys).transitions(LOW, HIGH, str(path), dtype=torch.float64)


def steps(transitions: Transitions) -> list[tuple[Any, ...]]:
    """(state, next state, reward, mask, ends) of each transition."""
    states = transitions.states
    columns = (
        states[transitions.state_rows], states[transitions.next_rows], transitions.rewards, transitions.masks,
        transitions.terminals,
    )  # fmt: skip
    return list(zip(*(column.squeeze(-1).tolist() for column in columns), strict=True))


def test_d4rl_without_next_observations(tmp_path: Path) -> None:
    """The rows of the timeout and of the file's end have no next state; the terminal row has no bootstrap."""
    found = load(d4rl(tmp_path / "d4rl.hdf5"))
    assert steps(found) == [
        (0.0, 1.0, 1.0, 1.0, False),
        (1.0, 1.0, 2.0, 0.0, True),
        (2.0, 3.0, 3.0, 1.0, False),
        (3.0, 4.0, 4.0, 1.0, True),
    ]
    assert found.actions.flatten().tolist() == pytest.approx([0.0, 0.5, 1 - 1e-5, -0.5])


def test_d4rl_with_next_observations(tmp_path: Path) -> None:
    found = load(d4rl(tmp_path / "d4rl.hdf5", next_observations=np.arange(6.0)[:, None] + 1))
    assert steps(found) == [
        (0.0, 1.0, 1.0, 1.0, False),
        (1.0, 2.0, 2.0, 0.0, True),
        (2.0, 3.0, 3.0, 1.0, False),
        (3.0, 4.0, 4.0, 1.0, False),
        (4.0, 5.0, 5.0, 1.0, True),
        (5.0, 6.0, 6.0, 1.0, True),
    ]


def test_windows_by_hand(tmp_path: Path) -> None:
    """Chunks of two with discount 0.5: rewards of rows 0-1 and 2-3, as each episode has two transitions."""
    windows = ChunkWindows(load(d4rl(tmp_path / "d4rl.hdf5")), 2, 0.5)
    batch = windows(torch.tensor([0, 2]))
    assert batch.rewards.tolist() == [1 + 0.5 * 2, 3 + 0.5 * 4]
    assert batch.masks.tolist() == [0.0, 1.0]
    assert batch.observations.flatten().tolist() == [0.0, 2.0]
    assert batch.next_observations.flatten().tolist() == [1.0, 4.0]


@pytest.mark.parametrize("next_obs", [True, False])
def test_robomimic_demonstrations_are_episodes(tmp_path: Path, next_obs: bool) -> None:
    """Keys a, then b; demo_2 ends in a terminal step, demo_10 is cut."""
    found = load(robomimic(tmp_path / "demos.hdf5", next_obs=next_obs), ["b"])
    expected = [(0.0, 1.0, 0.0, 1.0, False), (1.0, 2.0, 1.0, 1.0, False)]
    if next_obs:
        expected += [(2.0, 3.0, 2.0, 0.0, True), (10.0, 11.0, 10.0, 1.0, False), (11.0, 12.0, 11.0, 1.0, True)]
    else:  # without a next state the terminal row keeps its own, and the cut one is no transition
        expected += [(2.0, 2.0, 2.0, 0.0, True), (10.0, 11.0, 10.0, 1.0, True)]
    assert steps(found) == expected


def test_robomimic_observation_keys(tmp_path: Path) -> None:
    path = robomimic(tmp_path / "demos.hdf5")
    assert hdf5_steps(path).observations[1].tolist() == [-1.0, 1.5, 1.0]
    assert hdf5_steps(path, ["b", "a"]).observations[1].tolist() == [1.0, -1.0, 1.5]
    assert hdf5_steps(path, ["image"]).observations.shape == (5, 48)


def test_an_array_that_only_later_demonstrations_have_is_ignored(tmp_path: Path) -> None:
    """Whatever the sizes, every row has the keys of the first demonstration."""
    path = robomimic(tmp_path / "demos.hdf5", lambda data: data["demo_10"]["obs"].update(c=np.ones(2)), next_obs=False)
    assert hdf5_steps(path).observations[-1].tolist() == [-11.0, 11.5, 11.0]


def test_big_endian_numbers_are_read(tmp_path: Path) -> None:
    swapped = {"observations": np.arange(6, dtype=">f8")[:, None], "rewards": np.arange(1, 7, dtype=">i4")}
    assert steps(load(d4rl(tmp_path / "swapped.hdf5", **swapped))) == steps(load(d4rl(tmp_path / "d4rl.hdf5")))
    np.savez(tmp_path / "swapped.npz", actions=np.zeros((6, 1)), terminals=np.zeros(6, bool), **swapped)
    assert custom_steps(tmp_path / "swapped.npz").transitions(LOW, HIGH, "", dtype=torch.float64).states[-1] == 5
    swapped_demos = robomimic(
        tmp_path / "demos.hdf5",
        lambda data: [data["demo_2/obs"].pop("b"), data["demo_2/obs"].update(b=np.arange(3, dtype=">f8"))],
        next_obs=False,
    )
    assert steps(load(swapped_demos, ["b"]))[:2] == [(0.0, 1.0, 0.0, 1.0, False), (1.0, 2.0, 1.0, 1.0, False)]


MISTAKES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no rewards": (lambda path: d4rl(path, rewards=None), "has no array 'rewards': expected observations, actions"),
    "rows": (lambda path: d4rl(path, rewards=np.ones(5)), "'rewards' has 5 rows but 'observations' has 6"),
    "axes": (lambda path: d4rl(path, observations=np.ones(6)), r"'observations' has shape \(6,\), expected \(N, O\)"),
    "text": (lambda path: d4rl(path, actions=np.full((6, 1), b"x")), "'actions' has dtype .*, expected numbers"),
    "nan": (lambda path: d4rl(path, rewards=np.full(6, np.nan)), "'rewards' has NaN or infinity, first in row 0"),
    "flags": (lambda path: d4rl(path, terminals=np.full(6, 2)), "'terminals' has values other than 0 and 1"),
    "bounds": (lambda path: d4rl(path, actions=np.full((6, 1), 3.0)), "exceeds the environment's bounds"),
    "no dones": (lambda path: robomimic(path, lambda data: data["demo_2"].pop("dones")), "demo_2 has no array 'dones'"),
    "no obs": (lambda path: robomimic(path, lambda data: data["demo_2"].pop("obs")), "demo_2 has no group 'obs'"),
    "key": (lambda path: robomimic(path, lambda data: data["demo_10"]["next_obs"].pop("b")), "next_obs has no 'b'"),
    "other keys": (lambda path: robomimic(path, lambda data: data["demo_10"].move("obs/a", "obs/c")), "obs has no 'a'"),
    "obs is an array": (
        lambda path: robomimic(path, lambda data: [data["demo_2"].pop("obs"), data["demo_2"].update(obs=np.ones(3))]),
        "demo_2 has no group 'obs'",
    ),
    "no demonstrations": (
        lambda path: robomimic(path, lambda data: [data.pop(name) for name in list(data)]),
        "has no demonstration data/demo_0: expected robomimic's or D4RL's layout",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake: str, tmp_path: Path) -> None:
    make, expected = MISTAKES[mistake]
    path = make(tmp_path / "wrong.hdf5")
    with pytest.raises(QamError, match=expected) as raised:
        load(path)
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = d4rl(tmp_path / "d4rl.hdf5")
    with pytest.raises(QamError, match="env.obs_keys=.*is for robomimic's layout"):
        hdf5_steps(path, ["a"])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(QamError, match=r"is truncated or damaged \(.*\): fetch it again"):
        hdf5_steps(path)
    path.write_text("no such format")
    with pytest.raises(QamError, match="is not an HDF5 file: give one"):
        hdf5_steps(path)
    np.savez(tmp_path / "steps.npz", a=np.zeros(3))
    with pytest.raises(QamError, match="is an npz file, not an HDF5 file: train with env=npz path="):
        hdf5_steps(tmp_path / "steps.npz")
    with pytest.raises(QamError, match="does not exist"):
        hdf5_steps(tmp_path / "none.hdf5")
    with pytest.raises(QamError, match="is not a file"):
        hdf5_steps(tmp_path)
