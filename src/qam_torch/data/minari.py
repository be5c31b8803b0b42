"""Read datasets of the minari package: recorded episodes of a Gymnasium environment, and its specification.

The package is an optional dependency and is imported only when a dataset is opened.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.array_checks import number_problem
from qam_torch.data.ogbench_format import file_hash
from qam_torch.data.transitions import Transitions
from qam_torch.system.extras import install_command
from qam_torch.types import QamError

if TYPE_CHECKING:
    from minari import MinariDataset

__all__ = ["dataset_hash", "environment_spec", "minari_transitions", "open_minari"]

_GOAL_PARTS = ("observation", "desired_goal")

# Exceptions that h5py and minari raise for damaged files.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, AssertionError)


def open_minari(name: str, download: bool = True) -> MinariDataset:
    """Open a dataset in Minari's directory. Download it first if necessary.

    Args:
        name: name of the dataset, e.g. "mujoco/hopper/medium-v0".
        download: whether the dataset may be downloaded if it is not in Minari's directory.

    Raises:
        QamError: the package is not installed, or the dataset can neither be read nor downloaded.
    """
    try:
        import minari
    except ImportError:
        raise QamError(f"Minari datasets require the minari package: {install_command('minari')}") from None
    try:
        return minari.load_dataset(name, download=download)
    except Exception as error:  # the storage's reader and the HTTP client raise many types
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise QamError(
            f"Minari dataset '{name}' cannot be read or fetched ({reason}): look the name up with `minari list "
            f"remote`, and run `minari download {name}` where there is a network"
        ) from error


def environment_spec(dataset: MinariDataset) -> str:
    """Return the specification of the environment in which policies for a dataset are evaluated.

    Args:
        dataset: dataset from `open_minari`.

    Returns:
        Gymnasium's EnvSpec as JSON. It describes the dataset's evaluation environment if the dataset names one; for
        example, mazes are recorded in an environment whose episodes do not end at the goal. Otherwise it describes the
        environment in which the dataset was recorded.

    Raises:
        QamError: the dataset names no environment, or the environment cannot be made.
    """
    named = dataset.storage.metadata.get("eval_env_spec") is not None
    if not named and dataset.env_spec is None:
        raise QamError(
            f"Minari dataset '{dataset.id}' does not name an environment: give the registered name of its environment "
            "with env_id=..., e.g. env_id=Pendulum-v1"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # package versions differ from those of the recording
            environment = dataset.recover_environment(eval_env=named, disable_env_checker=True)
            environment.close()
    except Exception as error:  # an environment's constructor can raise anything
        reason = " ".join(str(error).split()).rstrip(".")
        raise QamError(
            f"the environment of Minari dataset '{dataset.id}' cannot be made ({reason}): install the package that "
            "has it, or give another environment with env_id=..."
        ) from error
    assert environment.spec is not None
    return environment.spec.to_json()


def minari_transitions(
    dataset: MinariDataset,
    low: np.ndarray,
    high: np.ndarray,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Transitions:
    """Convert all steps of a dataset to transitions on a device. Every state is stored once.

    Args:
        dataset: dataset from `open_minari`.
        low: lower bounds of the environment's actions, (A,), finite.
        high: upper bounds, (A,), finite. Actions are scaled from the bounds to [-1, 1].
        device: device of the result.
        dtype: floating-point type of the result.

    Returns:
        The transitions. Rewards are those recorded, and masks are 0 at terminated steps. An episode ends at a
        terminated step, at a truncated step, and at the end of its record. A goal-conditioned observation becomes one
        vector: the observation followed by the desired goal.

    Raises:
        QamError: the dataset is damaged or empty, observations are not vectors, actions are out of bounds, numbers are
            not finite, or an episode lacks the state after its last step.
    """
    source = f"Minari dataset '{dataset.id}'"
    try:
        arrays = _arrays(dataset, source)
    except _UNREADABLE as error:
        if isinstance(error, QamError):
            raise
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise QamError(f"{source} is damaged ({reason}): delete it and fetch or make it again") from error
    for name, array in (("observations", arrays["states"]), ("rewards", arrays["rewards"])):
        if problem := number_problem(array, np.dtype(f"f{dtype.itemsize}")):
            raise QamError(f"{source}: '{name}' {problem}")
    actions = unit_actions(arrays["actions"], low, high, source)
    try:
        return Transitions(
            states=torch.as_tensor(arrays["states"]).to(device, dtype),
            state_rows=torch.as_tensor(arrays["rows"]),
            next_rows=torch.as_tensor(arrays["rows"] + 1),
            actions=torch.as_tensor(actions),
            rewards=torch.as_tensor(arrays["rewards"]),
            masks=torch.as_tensor(~arrays["terminations"].astype(bool)),
            terminals=torch.as_tensor(arrays["ends"]),
        )
    except QamError as error:
        raise QamError(f"{source}: {error}") from error


def dataset_hash(dataset: MinariDataset) -> str:
    """Compute a SHA-256 from the names and contents of all files of the dataset."""
    directory = Path(dataset.storage.data_path)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    lines = (f"{path.relative_to(directory).as_posix()} {file_hash(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _arrays(dataset: MinariDataset, source: str) -> dict[str, np.ndarray]:
    """Read all states, and for each step its state's row, action, reward, termination, and whether its episode ends."""
    pieces: dict[str, list[np.ndarray]] = {
        name: [] for name in ("states", "rows", "actions", "rewards", "terminations", "ends")
    }
    held = 0
    for number, observations, episode in _episodes(dataset, source):
        steps = len(episode.rewards)
        if len(observations) != steps + 1:
            raise QamError(
                f"{source}: episode {number} has {len(observations)} observations of {steps} steps, expected "
                f"{steps + 1}, the first and one after each step: record the state after the last step too"
            )
        ends = np.asarray(episode.terminations, bool) | np.asarray(episode.truncations, bool)
        ends[-1:] = True
        found = (observations, held + np.arange(steps), episode.actions, episode.rewards, episode.terminations, ends)
        for piece, array in zip(pieces.values(), found, strict=True):
            piece.append(np.asarray(array))
        held += steps + 1
    if held == 0:
        raise QamError(f"{source} has no episodes: choose another")
    return {name: np.concatenate(piece) for name, piece in pieces.items()}


def _episodes(dataset: MinariDataset, source: str) -> Iterator[tuple[int, np.ndarray, Any]]:
    """Yield each episode's number, observations (steps + 1, O) and record."""
    for number, episode in enumerate(dataset.iterate_episodes()):
        observations = episode.observations
        if isinstance(observations, dict) and observations.keys() >= set(_GOAL_PARTS):
            parts = [observations[part] for part in _GOAL_PARTS]
            if all(isinstance(part, np.ndarray) and part.ndim == 2 for part in parts):
                observations = np.concatenate(parts, axis=1)
        if not isinstance(observations, np.ndarray) or observations.ndim != 2:
            raise QamError(
                f"{source} has observations {dataset.observation_space}, expected vectors or a goal-conditioned "
                "dictionary of vectors: images and nested dictionaries are not supported"
            )
        yield number, observations, episode
