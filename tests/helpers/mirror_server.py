"""A web server on 127.0.0.1 that serves data files and misbehaves on request."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

BLOCK = 8192


def npz(seed: int = 0, rows: int = 10_000) -> bytes:
    """An npz file's bytes, hardly compressible; about 8 bytes a row."""
    file, rng = io.BytesIO(), np.random.default_rng(seed)
    np.savez_compressed(file, observations=rng.standard_normal((rows, 1)))
    return file.getvalue()


class Mirror:
    """What the server has, how it behaves, and what it has done.

    files          path (without the leading slash) -> bytes
    faults         one is used up by each request: an HTTP status to answer with, "cut:N" to close the connection, or
                   "hang:N" to fall silent, after N bytes of the body; when there are none left, all goes well
    ranges, etags, dated, sized   whether it understands Range, and sends ETag, Last-Modified, Content-Length
    name           makes its ETags different from those of other mirrors with the same files
    pause          s after each block of 8 KiB
    requests       (path, Range header or None), in order
    sent           bytes of bodies sent
    """

    def __init__(self, files: dict[str, bytes], name: str = "") -> None:
        self.files, self.name = files, name
        self.faults: list[int | str] = []
        self.ranges = self.etags = self.dated = self.sized = True
        self.weak = False
        self.pause = 0.0
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0
        self.url = ""
        self.released = threading.Event()

    def validators(self, body: bytes) -> dict[str, str]:
        digest = hashlib.sha256(body).hexdigest()
        headers = {}
        if self.etags:
            headers["ETag"] = ("W/" if self.weak else "") + f'"{self.name}{digest[:16]}"'
        if self.dated:  # the same for the same bytes on every mirror
            headers["Last-Modified"] = f"Mon, 01 Jan 2024 00:00:{int(digest[:4], 16) % 60:02d} GMT"
        return headers


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        mirror, path, asked = self.mirror, self.path.lstrip("/"), self.headers["Range"]
        mirror.requests.append((path, asked))
        fault = mirror.faults.pop(0) if mirror.faults else None
        body = mirror.files.get(path)
        if isinstance(fault, int) or body is None:
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        validators = mirror.validators(body)
        start = 0
        if asked and mirror.ranges and self.headers["If-Range"] in (None, *validators.values()):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        for name, value in validators.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if mirror.sized:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        what, _, number = (fault or "").partition(":")
        end = start + int(number) if number else len(body)
        self.send(body[start:end])
        if what == "hang":
            mirror.released.wait(5)

    def send(self, body: bytes) -> None:
        for position in range(0, len(body), BLOCK):
            block = body[position : position + BLOCK]
            self.mirror.sent += len(block)  # before the client can have it and look
            try:
                self.wfile.write(block)
            except OSError:  # the client has gone
                self.mirror.sent -= len(block)
                return
            time.sleep(self.mirror.pause)


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """Run the server while the block lasts; its address is `mirror.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"mirror": mirror}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mirror
    finally:
        mirror.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
