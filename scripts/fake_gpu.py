"""A simulated GPU without values: tensors on "cuda" in a FakeTensorMode on a CPU build of torch.

Operations on such tensors have shapes, types and devices, but no values. The operations of an update on a GPU can
therefore be listed on a machine without a GPU.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["install"]

SOURCE = Path(__file__).with_suffix(".cpp")


def install() -> None:
    """Make this process believe in a GPU, number 0. It must not have imported torch, which looks for devices at once.

    The library is compiled by g++ (seconds) and kept in the directory of temporary files.
    """
    assert "torch" not in sys.modules, "install the fake GPU before torch is imported"
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent
    library = _compiled(root)
    for name in ("libgomp.so.1", "libc10.so", "libtorch_cpu.so"):
        path = root / "lib" / name
        if path.exists():
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library)).set_guard()


def _compiled(root: Path) -> Path:
    """The library for this installation of torch."""
    key = hashlib.sha256(SOURCE.read_bytes() + str(root).encode() + (root / "version.py").read_bytes()).hexdigest()
    library = Path(tempfile.gettempdir()) / f"qam-fake-gpu-{key[:16]}.so"
    if not library.exists():
        include = [f"-I{root / 'include'}", f"-I{root / 'include/torch/csrc/api/include'}"]
        with tempfile.TemporaryDirectory(dir=library.parent) as directory:
            made = Path(directory) / library.name
            command = ["g++", "-std=c++20", "-shared", "-fPIC", *include, str(SOURCE), "-o", str(made)]
            subprocess.run(command, check=True)
            made.replace(library)
    return library
