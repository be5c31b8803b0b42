"""Films of episodes; where no renderer works, what does not need one."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from qam_torch.envs.ogbench import make_environment
from qam_torch.envs.renderer import choose_renderer
from qam_torch.rollout import video
from qam_torch.rollout.video import render_episodes
from qam_torch.types import QamError

MAKE = partial(make_environment, "pointmaze-medium-navigate-v0", task=1, width=64, height=64, draft=True)


def push(observations: np.ndarray) -> np.ndarray:
    """Four steps to the right."""
    return np.tile([1.0, 0.0], 4)[None, None]


@pytest.fixture
def renderer() -> str:
    try:
        return choose_renderer()
    except QamError as error:
        pytest.skip(str(error))


def test_mp4_shows_every_second_step_of_both_episodes(renderer: str, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "new" / "film.mp4"
    outcome = render_episodes(push, MAKE, 2, path, horizon_length=4, seed=0, every=2, max_steps=8)
    frames = [frame for frame in imageio.get_reader(path)]  # list() would ask for its length, infinity
    assert outcome.lengths.tolist() == [[8, 8]]
    assert len(frames) == 2 * 5 and frames[0].shape == (64, 64, 3), "steps 0, 2, 4, 6, 8 of each"
    shift = np.abs(frames[0].astype(float) - frames[4]).max()
    assert frames[0].std() > 10 and shift > 50, "the point is seen to move"


def test_gif_is_written_by_its_suffix(renderer: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "film.gif"
    render_episodes(push, MAKE, 1, path, horizon_length=4, seed=0, fps=20, max_steps=4)
    film = image.open(path)
    assert film.n_frames == 5 and film.info["duration"] == 50


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(QamError, match="the package imageio-ffmpeg: pip install 'imageio"):
        render_episodes(push, MAKE, 1, tmp_path / "film.mp4", 4, 0)


@pytest.mark.parametrize("name", ["film.avi", "film"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(QamError, match=r"\.mp4 or \.gif"):
        render_episodes(push, MAKE, 1, tmp_path / name, 4, 0)


def test_no_renderer_is_reported_and_leaves_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise QamError("no OpenGL backend renders")

    monkeypatch.setattr(video, "choose_renderer", nothing)
    with pytest.raises(QamError, match="OpenGL"):
        render_episodes(push, MAKE, 1, tmp_path / "film.gif", 4, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_policy_leaves_no_film(renderer: str, tmp_path: Path) -> None:
    calls = []

    def act(observations: np.ndarray) -> np.ndarray:
        calls.append(observations.shape)
        return push(observations) if len(calls) < 2 else np.zeros((1, 1, 3))

    with pytest.raises(QamError, match=r"shape \(1, 1, 3\)"):
        render_episodes(act, MAKE, 1, tmp_path / "film.gif", 4, 0)
    assert calls == [(1, 1, 2)] * 2 and list(tmp_path.iterdir()) == []
