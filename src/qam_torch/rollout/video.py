"""Write episodes to a video. A worker process renders them; no display is needed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np

from qam_torch.envs.pool import EnvironmentPool
from qam_torch.envs.renderer import choose_renderer
from qam_torch.rollout.evaluation import Act, Evaluation, chunk_from, episode_seeds
from qam_torch.system.extras import install_command
from qam_torch.types import QamError

__all__ = ["render_episodes"]


class _Writer(Protocol):
    def add(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...


class _Mp4:
    """Writes an H.264 video with imageio and ffmpeg."""

    def __init__(self, path: Path, fps: float) -> None:
        _import("imageio_ffmpeg", "imageio-ffmpeg")
        imageio = _import("imageio.v2", "imageio")
        # The codec requires even sizes. A block size of 2 keeps them; imageio's default of 16 would resize frames.
        self._writer = imageio.get_writer(path, format="FFMPEG", fps=fps, macro_block_size=2)

    def add(self, frame: np.ndarray) -> None:
        self._writer.append_data(frame)

    def close(self) -> None:
        self._writer.close()


class _Gif:
    """Writes a GIF with pillow. All frames are kept in memory until `close` writes them."""

    def __init__(self, path: Path, fps: float) -> None:
        self._image = _import("PIL.Image", "pillow")
        self._path, self._fps, self._frames = path, fps, list[Any]()

    def add(self, frame: np.ndarray) -> None:
        self._frames.append(self._image.fromarray(frame).quantize(64))

    def close(self) -> None:
        if self._frames:
            first, *rest = self._frames
            first.save(self._path, save_all=True, append_images=rest, duration=round(1000 / self._fps), loop=0)


_WRITERS: dict[str, Callable[[Path, float], _Writer]] = {".mp4": _Mp4, ".gif": _Gif}


def render_episodes(
    act: Act,
    make: Callable[[], gymnasium.Env],
    episodes: int,
    path: str | Path,
    horizon_length: int,
    seed: int,
    fps: float = 30.0,
    every: int = 1,
    max_steps: int | None = None,
    execute_steps: int | None = None,
) -> Evaluation:
    """Run episodes one after another and write them to one video.

    A worker process renders the episodes. MuJoCo binds its OpenGL backend when it is imported, and this process may
    already have imported it. The backend is selected automatically unless MUJOCO_GL is set.

    Args:
        act: policy of one member: observations (1, 1, O) -> chunk (1, 1, h * A), or action (1, 1, A).
        make: picklable factory of the environment, e.g. `functools.partial(make_environment, "cube-single-play-v0",
            task=1, width=320, height=320, draft=True)`; the video has the size of the rendered frames.
        episodes: number of episodes, >= 1. Episode e starts like episode e of an evaluation with the same seed.
        path: path of the video, .mp4 (imageio and imageio-ffmpeg, the extra `video`) or .gif (pillow).
        horizon_length: h.
        seed: seed of the episodes, see `rollout.evaluation.episode_seeds`.
        fps: frames per second, > 0.
        every: render every `every`-th step of an episode, and its last step; >= 1.
        max_steps: stop an episode after the chunk that contains this step; None = run it to its end.
        execute_steps: number of actions of a chunk that are executed before `act` is called again, in 1..h; None = all.

    Returns:
        The outcome of the episodes (P = 1).

    Raises:
        QamError: an argument is invalid, a package is missing, the machine has no working renderer, or an environment
            fails. An unfinished video is deleted.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise QamError(f"cannot write a video to {path.name!r}: expected a name that ends in {' or '.join(_WRITERS)}")
    if episodes < 1 or every < 1 or fps <= 0:
        raise QamError(f"episodes={episodes}, every={every}, fps={fps}: expected all to be positive")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _WRITERS[path.suffix.lower()](path, fps)
    outcomes: list[tuple[bool | None, float, int]] = []
    started = time.perf_counter()
    try:
        backend = choose_renderer()
        with EnvironmentPool(make, 1, workers=1, variables={"MUJOCO_GL": backend} if backend else None) as pool:
            for episode_seed in episode_seeds(seed, episodes):
                outcomes.append(
                    _film(act, pool, int(episode_seed), horizon_length, writer, every, max_steps, execute_steps)
                )
        writer.close()
    except BaseException:
        writer.close()
        path.unlink(missing_ok=True)
        raise
    success, returns, lengths = zip(*outcomes, strict=True)
    metrics = {"return": np.array([returns]), "length": np.array([lengths])}
    if any(word is not None for word in success):
        metrics = {"success": np.array([success], bool), **metrics}
    return Evaluation(metrics, time.perf_counter() - started)


def _film(
    act: Act,
    pool: EnvironmentPool,
    seed: int,
    horizon_length: int,
    writer: _Writer,
    every: int,
    max_steps: int | None,
    execute_steps: int | None,
) -> tuple[bool | None, float, int]:
    """Run one episode and write its frames; return success (None if it is not reported), return and length."""
    observations = pool.reset([seed])
    success: bool | None = None
    total, length, done = 0.0, 0, False
    while not done:
        actions = chunk_from(act(observations[None]), (1, 1), horizon_length, pool, execute_steps)
        result = pool.step_chunk(actions, record=("frames",), frame_every=every)
        assert result.frames is not None
        for frame in result.frames[0] if result.frames[0] is not None else ():
            writer.add(frame)
        observations = result.observations
        if result.reported[0]:
            success = bool(success or result.success[0])
        total += float(result.rewards[0])
        length += int(result.steps[0])
        done = bool(result.terminated[0] | result.truncated[0]) or (max_steps is not None and length >= max_steps)
    return success, total, length


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise QamError(f"writing this video requires the package {package}: {install_command('video')}") from error
