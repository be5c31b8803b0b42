"""Read an npz file array by array: first the headers, then the data. Python objects are never loaded."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from qam_torch.types import QamError

__all__ = ["HDF5_SIGNATURE", "NPZ_SIGNATURE", "ArrayHeader", "NpzFile", "open_npz"]

NPZ_SIGNATURE, HDF5_SIGNATURE = b"PK", b"\x89HDF\r\n\x1a\n"
"""The first bytes of an npz and of an HDF5 file."""

_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class ArrayHeader(NamedTuple):
    """Shape and dtype of an array whose data have not been read."""

    shape: tuple[int, ...]
    dtype: np.dtype


class NpzFile:
    """An open npz file, returned by `open_npz`.

    Attributes:
        path: path of the file, for error messages.
        names: names of the arrays in the file.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        for member in archive.infolist():  # a wrong bit in the zip's directory could hide an optional array
            archive.open(member).close()  # raises if the two names of the member differ
            if member.comment:
                raise zipfile.BadZipFile("numpy writes no comments: this is the next member's directory entry")
        self._members = archive.namelist()
        self.names = frozenset(name.removesuffix(".npy") for name in self._members if name.endswith(".npy"))

    def headers(self, names: Collection[str]) -> dict[str, ArrayHeader]:
        """Read the shapes and dtypes of arrays, without their data.

        Args:
            names: names of arrays.

        Raises:
            QamError: an array is missing, stored twice, damaged, or holds Python objects.
        """
        return {name: self._header(name) for name in names}

    def arrays(self, names: Collection[str]) -> dict[str, np.ndarray]:
        """Read arrays into native byte order and C order.

        Args:
            names: names of arrays.

        Raises:
            QamError: see `headers`. Also raised if the data are damaged or do not fit into memory.
        """
        return {name: self._array(name) for name in names}

    def is_intact(self) -> bool:
        """Check that the file has at least one array and nothing else, and that all bytes match its checksums."""
        try:
            return 0 < len(self.names) == len(self._members) and self._archive.testzip() is None
        except Exception:  # many types, as in `_reading`
            return False

    def _header(self, name: str) -> ArrayHeader:
        count = self._members.count(f"{name}.npy")
        if count != 1:
            problem = f"has no '{name}'" if count == 0 else f"has '{name}' {count} times, expected once"
            raise QamError(f"data file {self.path} {problem}: fetch or generate it again")
        with self._reading(name) as member:
            shape, _, dtype = _HEADER_READERS[np.lib.format.read_magic(member)](member)
            size = self._archive.getinfo(f"{name}.npy").file_size
            if not dtype.hasobject and size != member.tell() + math.prod(shape) * dtype.itemsize:
                raise ValueError("the member's size is not that of its array")
        if dtype.hasobject:
            raise QamError(
                f"data file {self.path}: '{name}' holds Python objects, which are never loaded: save plain numbers"
            )
        return ArrayHeader(shape, dtype)

    def _array(self, name: str) -> np.ndarray:
        header = self._header(name)
        with self._reading(name) as member:  # the zip's checksum is compared when the last byte is read
            array = np.lib.format.read_array(member, allow_pickle=False)
            return np.asarray(array, dtype=header.dtype.newbyteorder("="), order="C")

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._archive.open(f"{name}.npy") as member:
                yield member
        except MemoryError:
            raise QamError(f"data file {self.path}: '{name}' does not fit into memory: use a smaller dataset") from None
        except Exception as error:  # numpy, zipfile and zlib raise a dozen different types on damaged bytes
            raise QamError(
                f"data file {self.path} is truncated or damaged (reading '{name}' failed): fetch or generate it again"
            ) from error


@contextlib.contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[NpzFile]:
    """Open an npz file.

    Args:
        path: path of the file.

    Yields:
        The open file, which is closed at the end of the block.

    Raises:
        QamError: the file does not exist, cannot be opened, or is not an npz file.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # checked first: opening a pipe would wait for its writer
            raise QamError(f"data file {path} is not a file (but a directory, pipe or device): give the npz itself")
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except (FileNotFoundError, NotADirectoryError):
        raise QamError(f"data file {path} does not exist: check the path, or put the file there") from None
    except OSError as error:
        raise QamError(
            f"data file {path} cannot be opened ({error.strerror}): check its path and permissions"
        ) from None
    with file:
        try:
            npz = NpzFile(path, zipfile.ZipFile(file))
        except Exception as error:  # many types, as above: zipfile reads the directory here
            raise QamError(f"data file {path} {_not_npz(file)}") from error
        yield npz


def _not_npz(file: IO[bytes]) -> str:
    """Describe, from its first bytes, the problem of a file that zipfile cannot read."""
    file.seek(0)
    start = file.read(len(HDF5_SIGNATURE))
    if start == HDF5_SIGNATURE:
        return "is an HDF5 file, not an npz file: train with env=hdf5 path=... env_id=..."
    if start.startswith(NPZ_SIGNATURE):
        return "is truncated or damaged: fetch or generate it again"
    return "is not an npz file: fetch or generate it again, or save it with numpy.savez"
