"""Data sets made here, with OGBench's environments and oracles, in OGBench's file format.

A recipe makes one episode from (seed, episode index, rows) alone; this module decides how many episodes, runs them in
worker processes, and writes the files, which therefore do not depend on the number of workers. Another family of
environments is another recipe.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from qam_torch.data.files import write_npz_atomic
from qam_torch.data.pointmaze import MAZES, NavigateEpisode
from qam_torch.types import QamError

__all__ = [
    "EPISODE_TRANSITIONS",
    "Recipe",
    "episode_lengths",
    "generate_dataset",
    "generate_pointmaze",
    "validation_path",
]

EPISODE_TRANSITIONS = 1000
"""Transitions of OGBench's episodes; a file has one row more."""

Episode = dict[str, np.ndarray]
Progress = Callable[[int, int], None]
Recipe = Callable[[int, int, int], Episode]
"""(seed, index, rows) -> arrays with `rows` rows each, `terminals` True on the last; picklable."""


def validation_path(path: str | os.PathLike[str]) -> Path:
    """OGBench's name of the validation file that belongs to a training file: x.npz -> x-val.npz."""
    path = Path(path)
    return path.with_name(f"{path.stem}-val.npz")


def generate_pointmaze(
    path: str | os.PathLike[str],
    maze: str = "medium",
    transitions: int = 200_000,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Make a pointmaze navigate data set by OGBench's recipe (see `pointmaze.NavigateEpisode`).

    path         training file; the validation file, with a tenth as many episodes, goes beside it (`validation_path`)
    maze         "medium", "large", "giant" or "teleport"
    transitions  int >= 1, in episodes of 1000; if no multiple, episodes are made equally long (to one step) instead of
                 leaving a stub that might be shorter than a chunk
    seed, workers, progress  see `generate_dataset`
    """
    if maze not in MAZES:
        raise QamError(f"unknown maze '{maze}': expected one of {', '.join(MAZES)}")
    generate_dataset(path, NavigateEpisode(maze), transitions, seed, workers, progress)


def generate_dataset(
    path: str | os.PathLike[str],
    recipe: Recipe,
    transitions: int,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Run a recipe for as many episodes as needed and write the training and validation files, each in one piece.

    seed      int >= 0
    workers   processes; all CPUs when None; 1 works in this process
    progress  called with (transitions made, transitions in all, validation included) after each episode

    Raises QamError for numbers out of range, an unwritable path, or a worker that died.
    """
    workers = workers if workers is not None else (os.cpu_count() or 1)
    for name, value, least in (("transitions", transitions, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise QamError(f"{name}={value} is out of range: give at least {least}")
    lengths = episode_lengths(transitions)
    held_out = max(1, len(lengths) // 10)
    rows = [length + 1 for length in lengths + [lengths[0]] * held_out]
    total, made = sum(rows) - len(rows), 0
    episodes: list[Episode] = []
    for episode in _run(recipe, seed, rows, workers):
        episodes.append(episode)
        made += len(episode["terminals"]) - 1
        if progress is not None:
            progress(made, total)
    # The validation file first: whoever finds the training file finds both.
    write_npz_atomic(validation_path(path), _joined(episodes[len(lengths) :]))
    write_npz_atomic(path, _joined(episodes[: len(lengths)]))


def episode_lengths(transitions: int) -> list[int]:
    """As few episodes of at most 1000 transitions as hold them all, equally long to one step, longer ones first."""
    episodes = -(-transitions // EPISODE_TRANSITIONS)
    short, longer = divmod(transitions, episodes)
    return [short + 1] * longer + [short] * (episodes - longer)


def _joined(episodes: list[Episode]) -> Episode:
    return {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}


def _run(recipe: Recipe, seed: int, rows: list[int], workers: int) -> Iterator[Episode]:
    """Episode `index` has rows[index] rows; they come in this order."""
    workers, arguments = min(workers, len(rows)), ([seed] * len(rows), range(len(rows)), rows)
    if workers == 1:
        yield from map(recipe, *arguments)
        return
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads (torch) may hang
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(recipe, *arguments)
    except BrokenProcessPool as error:
        raise QamError(
            "a worker process that generates data died: call from under `if __name__ == '__main__':` in a script, "
            "check the memory, or use workers=1"
        ) from error
