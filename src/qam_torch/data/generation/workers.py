"""Make episodes in several processes, which write them to disk.

Worker processes import this module, so it must not import torch: that would take a second and 200 MB in each process.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Generator, Iterable

from qam_torch.data.generation.episode_files import EpisodeFiles, EpisodeNotWritten
from qam_torch.system.worker_process import WorkerProcess, answer_messages

__all__ = ["make_episodes", "serve"]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def make_episodes(
    files: EpisodeFiles, episodes: Iterable[tuple[int, int]], workers: int
) -> Generator[tuple[int, int], None, None]:
    """Make every episode, and yield its (index, rows) once it is on disk. The order may differ from that of `episodes`.

    Closing the generator ends the worker processes. If this process is killed, each worker finishes its current episode
    and ends.

    Args:
        files: directory and recipe of the episodes. It must be picklable. The main script must not define its recipe.
        episodes: (index, rows) of each episode.
        workers: number of worker processes, at least 1. With 1, this process makes the episodes.

    Raises:
        WorkerDied: a worker process has ended.
        EpisodeNotWritten: the disk is full or read-only.
    """
    if workers == 1:
        for index, rows in episodes:
            files.episode(index, rows)
            yield index, rows
        return
    waiting = iter(episodes)
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(workers):
            worker = WorkerProcess(__name__, _ONE_THREAD, ("-W", "ignore"))  # without a display, importing GLFW warns
            stack.callback(worker.close, patience=0)  # nothing is lost: files are renamed into place
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        idle = [key.data for key in selector.get_map().values()]
        busy: dict[WorkerProcess, tuple[int, int]] = {}
        while True:
            while idle and (episode := next(waiting, None)) is not None:
                worker = idle.pop()
                worker.send((files, *episode))
                busy[worker] = episode
            if not busy:
                return
            for key, _ in selector.select():
                if (problem := key.data.receive()) is not None:
                    raise EpisodeNotWritten(problem)
                idle.append(key.data)
                yield busy.pop(key.data)


def serve() -> None:
    """Run the main loop of a worker process."""
    answer_messages(_make)


def _make(message: tuple[EpisodeFiles, int, int]) -> str | None:
    """Make one episode, and return None or the reason why it could not be written to disk."""
    files, index, rows = message
    try:
        files.episode(index, rows)
    except EpisodeNotWritten as error:
        return str(error)
    return None
