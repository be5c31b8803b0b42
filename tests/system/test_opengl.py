"""Importing MuJoCo where its renderer is missing."""

from __future__ import annotations

import os

import pytest

from qam_torch.system.opengl import renderer_optional


def imported() -> str:
    """As PyOpenGL fails where OSMesa is not installed."""
    if os.environ["MUJOCO_GL"] == "osmesa":
        raise AttributeError("'NoneType' object has no attribute 'glGetError'")
    return os.environ["MUJOCO_GL"]


@pytest.mark.parametrize(("named", "used"), [("osmesa", "disable"), ("egl", "egl")])
def test_a_missing_renderer_is_left_out(named: str, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", named)
    assert renderer_optional(imported) == used
    assert os.environ["MUJOCO_GL"] == named, "videos use it"


def test_other_failures_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(KeyError):
        renderer_optional(imported)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(ZeroDivisionError):
        renderer_optional(lambda: 1 / 0)
