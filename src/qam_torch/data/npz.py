"""An npz that nobody vouches for: first what its arrays claim to be, then, if that is sensible, their numbers.

An npz is a zip of npy members. Its bytes may be damaged or made to do harm, so nothing is unpickled, no header is
evaluated as Python, no member may be read to other than its claimed size, and no claim is believed that would fill the
memory from a small file.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from qam_torch.types import QamError

__all__ = ["Archive", "Header", "open_archive"]

_LONGEST_HEADER = 10_000
_ALWAYS_ALLOWED = 64 * 2**20
_LARGEST_RATIO = 100  # of recorded states it is 1 to 5; of a bomb up to 1000

# What numpy writes, padded with spaces; the spaces between the words may differ.
_SIZE = rb"(?:0|[1-9]\d{0,17})"
_HEADER = re.compile(
    rb"\{ *'descr': *(?P<descr>[\x20-\x7e]{1,200}?), *'fortran_order': *(?:True|False),"
    rb" *'shape': *\((?P<shape>(?:" + _SIZE + rb", *){0,7}" + _SIZE + rb"?)\),? *\}[ \n]*"
)
_PLAIN = re.compile(r"'([<>=|]?(?:f[248]|[iu][1248]|b1))'")

# What zipfile, zlib and numpy raise on damaged bytes; anything else is a bug of ours and may surface as one.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


class Header(NamedTuple):
    """What an array claims to be.

    shape  sizes of its axes
    dtype  of booleans, integers and floating-point numbers; None for everything else
    descr  the dtype as the file spells it
    size   bytes of its member, header included
    """

    shape: tuple[int, ...]
    dtype: np.dtype | None
    descr: str
    size: int


class Archive:
    """The arrays of an open npz.

    path   for the error messages
    file   the open zip
    names  of the arrays in it
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = file
        # What would hide an array: a name that differs between the two places that have it, which opening compares,
        # and a comment, which numpy does not write, but which a damaged length makes of the next member's entry.
        for info in file.infolist():
            file.open(info).close()
            if info.comment:
                raise zipfile.BadZipFile("a comment")
        self._members = [info.filename for info in file.infolist()]
        self.names = frozenset(name.removesuffix(".npy") for name in self._members if name.endswith(".npy"))

    def headers(self, names: Collection[str]) -> dict[str, Header]:
        """What the arrays of these names claim to be, without reading their numbers.

        Raises QamError for one that is absent, there twice, not readable, or of Python objects.
        """
        return {name: self._header(name) for name in names}

    def arrays(self, headers: Mapping[str, Header]) -> dict[str, np.ndarray]:
        """The numbers of arrays, in the machine's byte order; each must be what its header says, to the byte.

        Raises QamError for damaged members, dtypes other than numbers, and claims out of proportion to the file.
        """
        held, claimed = self.path.stat().st_size, sum(header.size for header in headers.values())
        if claimed > max(_ALWAYS_ALLOWED, _LARGEST_RATIO * held):
            raise QamError(
                f"data file {self.path} of {held:,} bytes claims to unpack to {claimed:,}, more than recorded data do: "
                "fetch or generate it again"
            )
        return {name: self._array(name, header) for name, header in headers.items()}

    def _header(self, name: str) -> Header:
        count = self._members.count(f"{name}.npy")
        if count != 1:
            problem = f"has no '{name}'" if count == 0 else f"has '{name}' {count} times, expected once"
            raise QamError(f"data file {self.path} {problem}: fetch or generate it again")
        with self._damage_told(name), self._open(name) as member:
            match = _HEADER.fullmatch(_header_text(member))
            if match is None:
                raise ValueError("not numpy's header")
            start = member.tell()
        descr = match["descr"].decode("ascii")
        if "|O" in descr:
            raise QamError(
                f"data file {self.path}: '{name}' holds Python objects, which are never loaded: save plain numbers"
            )
        shape = tuple(int(size) for size in match["shape"].replace(b",", b" ").split())
        plain = _PLAIN.fullmatch(descr)
        dtype = np.dtype(plain[1]) if plain else None
        size = self._zip.getinfo(f"{name}.npy").file_size
        with self._damage_told(name):
            if dtype is not None and size != start + math.prod(shape) * dtype.itemsize:
                raise ValueError("the member's size is not that of its array")
        return Header(shape, dtype, descr.strip("'"), size)

    def _array(self, name: str, header: Header) -> np.ndarray:
        if header.dtype is None:
            raise QamError(f"data file {self.path}: '{name}' has dtype {header.descr}: save plain numbers")
        with self._damage_told(name), self._open(name) as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        return np.asarray(array, dtype=header.dtype.newbyteorder("="), order="C")

    def _open(self, name: str) -> IO[bytes]:
        info = self._zip.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("numpy compresses in no other way")
        return self._zip.open(info)

    @contextlib.contextmanager
    def _damage_told(self, name: str) -> Iterator[None]:
        try:
            yield
        except _UNREADABLE as error:
            raise QamError(
                f"data file {self.path} is truncated or damaged (reading '{name}' failed): fetch or generate it again"
            ) from error
        except MemoryError:
            raise QamError(
                f"data file {self.path}: '{name}' does not fit into memory: use a smaller data set"
            ) from None


@contextlib.contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[Archive]:
    """Open an npz; raises QamError for a path without a readable file, and for a file that is not an npz."""
    path = Path(path)
    try:
        # Asked first, because opening a pipe would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise QamError(f"data file {path} is not a file (but a directory, pipe or device): name the npz itself")
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except (FileNotFoundError, NotADirectoryError):
        raise QamError(f"data file {path} does not exist: check the path, or put the file there") from None
    except OSError as error:
        raise QamError(f"data file {path} cannot be opened ({error.strerror}): check the path and its rights") from None
    with file:
        try:
            archive = Archive(path, zipfile.ZipFile(file))
        except _UNREADABLE as error:
            raise QamError(f"data file {path} is truncated or not an npz file: fetch or generate it again") from error
        yield archive


def _header_text(member: IO[bytes]) -> bytes:
    """The header's text of an npy member, which is left at the first byte of the numbers."""
    version = np.lib.format.read_magic(member)
    width = {(1, 0): "<H", (2, 0): "<I"}.get(version)
    if width is None:
        raise ValueError(f"npy version {version}")
    (length,) = struct.unpack(width, member.read(struct.calcsize(width)))
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return member.read(length)
