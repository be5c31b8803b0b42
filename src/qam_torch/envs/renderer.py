"""Find an OpenGL backend with which MuJoCo can render on this machine, by trying them.

MuJoCo selects its backend when it is imported, by the environment variable MUJOCO_GL. The default (GLFW) does not work
without a display. Therefore each backend is tried in a new Python process, which renders one small image.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys

from qam_torch.system.opengl import SWITCHED_OFF
from qam_torch.types import QamError

__all__ = ["choose_renderer"]

_REMEDIES = {
    "egl": "install it, for example with `apt-get install libegl1 libgl1`, and the driver of the GPU if there is one",
    "osmesa": "install it, for example with `apt-get install libosmesa6`",
    "glfw": "it needs a display: set DISPLAY, or run the command under xvfb-run",
}
"""Backend -> how to make it work."""

# The image must have a standard deviation: some backends start but draw nothing, which gives a single color.
_PROBE = """
import mujoco
xml = '<mujoco><worldbody><light pos="0 0 3"/><geom size=".2" rgba="1 0 0 1"/></worldbody></mujoco>'
model = mujoco.MjModel.from_xml_string(xml)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
assert renderer.render().std() > 1.0
renderer.close()
print("rendered", flush=True)
"""


def choose_renderer() -> str:
    """Find the value for MUJOCO_GL: the one already set if it renders an image, otherwise the first backend that does.

    With a display, GLFW is tried first, then EGL and OSMesa. A trial takes about a second, and its result is cached.
    Neither mujoco nor OpenGL is imported into this process.

    Returns:
        "egl", "osmesa" or "glfw". On systems other than Linux: MUJOCO_GL, or "" for MuJoCo's default.

    Raises:
        QamError: rendering is switched off by MUJOCO_GL, or no backend works.
    """
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen in SWITCHED_OFF:
        raise QamError(f"MUJOCO_GL={chosen} switches rendering off: unset it or set it to egl or osmesa")
    if sys.platform != "linux":
        return chosen
    if chosen:
        if not _renders(chosen):
            remedy = _REMEDIES.get(chosen, f"expected {', '.join(_REMEDIES)}")
            raise QamError(
                f"the renderer {chosen} renders nothing on this machine: {remedy}, or do not choose a renderer"
            )
        return chosen
    display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return _first_working(("glfw", "egl", "osmesa") if display else ("egl", "osmesa"))


def _first_working(backends: tuple[str, ...]) -> str:
    for backend in backends:
        if _renders(backend):
            return backend
    raise QamError(
        f"no OpenGL backend renders on this machine (tried {', '.join(backends)}): install one, "
        "for example with `apt-get install libegl1 libgl1` or `apt-get install libosmesa6`, or set MUJOCO_GL"
    )


@functools.cache
def _renders(backend: str) -> bool:
    """Whether a new Python process can render one image with this backend."""
    variables = {**os.environ, "MUJOCO_GL": backend}
    try:
        probe = subprocess.run([sys.executable, "-P", "-c", _PROBE], env=variables, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return False
    # The exit status is ignored, because some drivers crash at exit, after rendering.
    return b"rendered" in probe.stdout
