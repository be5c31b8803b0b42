"""Making episodes in several processes, each of which leaves them on disk.

Imported in worker processes: no torch, which would take a second and 200 MB of each of them.
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
    """Make and keep every episode, and yield it when it is on disk, in any order.

    Closing the generator ends the processes. If this process is killed, they end with the episode they are making.

    Args:
        files: where the episodes are kept, and their recipe; picklable, its recipe not defined in the main script.
        episodes: (index, rows) of each episode.
        workers: number of processes, at least 1; 1 works in this process.

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
    """The main function of a worker process."""
    answer_messages(_make)


def _make(message: tuple[EpisodeFiles, int, int]) -> str | None:
    """Make one episode; returns why the disk did not take it, or None."""
    files, index, rows = message
    try:
        files.episode(index, rows)
    except EpisodeNotWritten as error:
        return str(error)
    return None
