"""Transfer a file by HTTP into a partial file, and continue where an earlier transfer ended.

The partial file is `.NAME.part`. `.NAME.part.json` next to it records the version of the file: the entity tag, which is
valid for one server only, and the modification time, which exact mirrors share. The rest of the file is requested with
Range and If-Range. A server that has another version or does not support ranges then sends the whole file.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["BLOCK", "NotFetched", "Partial", "Progress", "Unreachable", "transfer"]

BLOCK = 1 << 20
"""Largest number of bytes read at once."""

Progress = Callable[[int, int | None], None]
"""progress(bytes received, total bytes or None if unknown)"""

_TRY_AGAIN = (408, 416, 425, 429)
"""HTTP statuses below 500 after which a retry may succeed. After 416 (invalid range), the file is restarted."""


class NotFetched(Exception):
    """The transfer did not complete the file.

    Attributes:
        again: whether a retry with the same server may succeed.
        status: HTTP status of the error, or None.
    """

    def __init__(self, reason: str, again: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.again, self.status = again, status


class Unreachable(NotFetched):
    """No connection could be made, e.g. because there is no network, host or server."""


class Partial:
    """The part of a file that has been received so far.

    Args:
        target: final path of the file. The partial file is in the same directory.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self._about = target.with_name(f".{target.name}.part.json")
        self._version: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # truncated by a kill: unknown version, so restart
            self._version = dict(json.loads(self._about.read_text(encoding="utf-8")))

    @property
    def size(self) -> int:
        """The number of bytes received."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def total(self) -> int | None:
        """The number of bytes of the whole file, or None if unknown."""
        return self._version.get("total")

    def conditions(self, url: str) -> dict[str, str]:
        """Return headers that request the rest of this version, or no headers if the whole file must be requested."""
        etag = self._version.get("etag") if self._version.get("url") == url else None
        validator = etag or self._version.get("last_modified")
        return {"Range": f"bytes={self.size}-", "If-Range": validator} if self.size and validator else {}

    def restart(self, url: str, headers: http.client.HTTPMessage) -> None:
        """Empty the partial file, and record the version of the file that the server sends."""
        etag, length = headers["ETag"], headers["Content-Length"]
        self._version = {
            "url": url,
            "etag": None if etag is None or etag.startswith("W/") else etag,  # a weak tag does not identify bytes
            "last_modified": headers["Last-Modified"],
            "total": int(length) if length and length.isdecimal() else None,
        }
        self.path.write_bytes(b"")
        self._about.write_text(json.dumps(self._version), encoding="utf-8")

    def discard(self) -> None:
        """Remove the partial file and the record of its version."""
        self.path.unlink(missing_ok=True)
        self.finish()

    def finish(self) -> None:
        """Remove the record of the version. It is not needed after the partial file is renamed or removed."""
        self._about.unlink(missing_ok=True)
        self._version = {}


def transfer(url: str, partial: Partial, progress: Progress | None, timeout: float) -> None:
    """Receive the rest of a partial file. If the connection breaks, the bytes received so far are kept.

    Args:
        url: http or https address of the file.
        partial: partial file that the transfer continues.
        progress: called with (bytes received, total bytes or None).
        timeout: seconds without data after which the transfer fails.

    Raises:
        NotFetched: the file is not complete.
        OSError: the file cannot be written.
    """
    if partial.size and partial.size == partial.total:  # killed after the last byte and before the rename
        return
    with _open(url, partial.conditions(url), timeout) as response:
        if response.status != 206:
            partial.restart(url, response.headers)
        elif not _continues(response.headers["Content-Range"], partial):
            partial.discard()
            raise NotFetched("the server sent another part of the file than requested", again=True)
        with open(partial.path, "ab") as file:
            while block := _read(response, timeout):
                file.write(block)
                if progress is not None:
                    progress(file.tell(), partial.total)
    if partial.total is not None and partial.size != partial.total:
        raise NotFetched(f"the connection ended after {partial.size} of {partial.total} bytes", again=True)


def _continues(content_range: str | None, partial: Partial) -> bool:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range or "")
    return match is not None and int(match[1]) == partial.size and match[2] in ("*", str(partial.total))


def _open(url: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "qam-torch", **headers})
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        again = error.code >= 500 or error.code in _TRY_AGAIN
        raise NotFetched(f"HTTP status {error.code} {error.reason}".rstrip(), again, error.code) from error
    except urllib.error.URLError as error:  # while connecting
        if isinstance(error.reason, ConnectionResetError):
            raise NotFetched(_reason(error.reason, timeout), again=True) from error
        raise Unreachable(_reason(error.reason, timeout), again=False) from error
    except (OSError, http.client.HTTPException) as error:  # while waiting for the response
        raise NotFetched(_reason(error, timeout), again=True) from error


def _read(response: http.client.HTTPResponse, timeout: float) -> bytes:
    try:
        return response.read1(BLOCK)  # returns available bytes at once, so that a lost connection loses none
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(_reason(error, timeout), again=True) from error


def _reason(error: BaseException | str, timeout: float) -> str:
    """Describe a network exception in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer for {timeout:g} s"
    if isinstance(error, socket.gaierror):
        return "host not found: no network?"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected | ConnectionResetError):
        return "the connection was closed early"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):  # SSL's numbers differ
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
