"""Choosing a renderer; the backends themselves are replaced, the one real try is made by the video tests."""

import subprocess
import sys

import pytest

from qam_torch.envs import renderer as rendering
from qam_torch.types import QamError


@pytest.fixture(autouse=True)
def bare_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def working(monkeypatch: pytest.MonkeyPatch, *backends: str) -> list[str]:
    tried: list[str] = []

    def renders(backend: str) -> bool:
        tried.append(backend)
        return backend in backends

    monkeypatch.setattr(rendering, "_renders", renders)
    return tried


def test_a_set_variable_is_respected_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = working(monkeypatch, "egl", "osmesa")
    monkeypatch.setenv("MUJOCO_GL", "OSMesa")
    assert rendering.choose_renderer() == "osmesa" and tried == ["osmesa"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("osmesa", "apt-get install libosmesa6"), ("egl", "apt-get install libegl1"), ("glfw", "display"), ("x", "egl")],
)
def test_a_set_variable_that_does_not_work_says_what_is_missing(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    working(monkeypatch)
    monkeypatch.setenv("MUJOCO_GL", name)
    with pytest.raises(QamError, match=f"the renderer {name} renders nothing on this machine.*{remedy}"):
        rendering.choose_renderer()


def test_headless_tries_egl_then_osmesa(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = working(monkeypatch, "osmesa", "glfw")
    assert rendering.choose_renderer() == "osmesa"
    assert tried == ["egl", "osmesa"]


def test_with_a_display_glfw_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    working(monkeypatch, "egl", "glfw")
    monkeypatch.setenv("DISPLAY", ":0")
    assert rendering.choose_renderer() == "glfw"


def test_nothing_works_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    working(monkeypatch)
    with pytest.raises(QamError, match=r"libegl1.*libosmesa6"):
        rendering.choose_renderer()


def test_rendering_switched_off_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(QamError, match="MUJOCO_GL=disable"):
        rendering.choose_renderer()


def test_a_backend_that_does_not_exist_does_not_render() -> None:
    assert not rendering._renders("no-such-backend")


def test_importing_the_module_imports_no_mujoco() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; import qam_torch.envs.renderer; print('mujoco' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
