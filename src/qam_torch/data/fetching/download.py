"""Downloading published files: mirrors in order, retries that continue a partial file, and atomic results.

.NAME.part, .NAME.part.json   the partial file, kept over retries, mirrors and kills (`transfer`)
.NAME.lock                    held while a process fetches NAME
NAME                          the complete file, renamed into place after it has been checked
NAME.sha256                   its checksum (`checksums`)

By hand, because pooch neither continues a partial file nor tries mirrors.
"""

from __future__ import annotations

import os
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

from qam_torch.data.catalog import DATASET_URL, CatalogEntry
from qam_torch.data.checksums import record_checksum
from qam_torch.data.fetching.transfer import BLOCK, NotFetched, Partial, Progress, Unreachable, transfer
from qam_torch.data.npz import open_npz
from qam_torch.system.files import flush_to_disk
from qam_torch.system.locks import exclusive
from qam_torch.types import QamError

__all__ = ["MIRRORS_VARIABLE", "FileProgress", "fetch_dataset", "fetch_file", "mirror_urls", "require_published"]

MIRRORS_VARIABLE = "QAM_DATA_MIRRORS"
"""Environment variable with the base URLs of mirrors, separated by commas."""

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each retry of a mirror."""

TIMEOUT = 30.0
"""Seconds without data after which a transfer has failed."""

FileProgress = Callable[[str, int, int | None], None]
"""progress(file, bytes there, bytes in all or None)"""


def mirror_urls(given: Sequence[str] | None = None) -> tuple[str, ...]:
    """Base URLs to fetch from, in order.

    Args:
        given: base URLs; if there are none, those of QAM_DATA_MIRRORS are used, otherwise OGBench's own.

    Raises:
        QamError: a URL is not an http or https address in ASCII with a host.
    """
    listed = given or os.environ.get(MIRRORS_VARIABLE, "").split(",")
    urls = tuple(url.strip().rstrip("/") for url in listed if url.strip()) or (DATASET_URL,)
    for url in urls:
        try:
            parts = urllib.parse.urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii()
        except ValueError:  # brackets or a port that make no address
            usable = False
        if not usable:
            raise QamError(f"mirror '{url}' is not an http or https address: give one like {DATASET_URL}")
    return urls


def fetch_dataset(
    entry: CatalogEntry,
    directory: str | os.PathLike[str],
    mirrors: Sequence[str] | None = None,
    progress: FileProgress | None = None,
    waits: Sequence[float] = WAITS,
    timeout: float = TIMEOUT,
    validation: bool = True,
) -> None:
    """Fetch the missing files of a dataset, training files first.

    Args:
        entry: the dataset.
        directory: data directory; the files of a sharded dataset go into directory / name.
        mirrors: base URLs, see `mirror_urls`.
        progress: called with (file, bytes there, bytes in all or None).
        waits: seconds before each retry of a mirror.
        timeout: seconds without data after which a transfer has failed.
        validation: whether to fetch the validation files too, which training does not read.

    Raises:
        QamError: as `fetch_file`, or the dataset is not published.
    """
    require_published(entry)
    for file in entry.files if validation else entry.files[: entry.shards]:
        one = (lambda done, total, file=file: progress(file, done, total)) if progress is not None else None
        fetch_file(file, directory, mirrors, one, waits, timeout)


def require_published(entry: CatalogEntry) -> None:
    """Raise QamError for a dataset that can only be generated."""
    if not entry.published:
        raise QamError(f"dataset '{entry.name}' is not published: generate it with `qam-data generate {entry.name}`")


def fetch_file(
    file: str,
    directory: str | os.PathLike[str],
    mirrors: Sequence[str] | None = None,
    progress: Progress | None = None,
    waits: Sequence[float] = WAITS,
    timeout: float = TIMEOUT,
) -> Path:
    """Fetch one file, unless it exists.

    Args:
        file: path below the mirrors' URLs and below `directory`, e.g. "cube-single-play-v0.npz".
        directory: data directory.
        mirrors: base URLs, see `mirror_urls`.
        progress: called with (bytes there, bytes in all or None).
        waits: seconds before each retry of a mirror; they start again after a try that brought a megabyte or more.
        timeout: seconds without data after which a transfer has failed.

    Returns:
        directory / file.

    Raises:
        QamError: no mirror has the file (with the file to fetch by hand); the partial file is kept for the next call.
    """
    target, urls = Path(directory).expanduser() / file, [f"{mirror}/{file}" for mirror in mirror_urls(mirrors)]
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target):
            if not target.is_file():  # otherwise another process has just fetched it
                partial = Partial(target)
                _fetch_from_mirrors(urls, file, target, partial, progress, waits, timeout)
                record_checksum(target, now_at=partial.path)
                os.replace(partial.path, target)
                partial.finish()
    except OSError as error:
        raise QamError(
            f"cannot write {target} ({error.strerror or error}): free some space or choose another directory"
        ) from error
    return target


def _fetch_from_mirrors(
    urls: Sequence[str],
    file: str,
    target: Path,
    partial: Partial,
    progress: Progress | None,
    waits: Sequence[float],
    timeout: float,
) -> None:
    """Complete the partial file from the first mirror that can."""
    failures = []
    for url in urls:
        try:
            _fetch_from_mirror(url, partial, progress, waits, timeout)
            return
        except NotFetched as failure:
            failures.append((url, failure))
    if not partial.size:
        partial.discard()
    by_hand = (
        f"fetch {DATASET_URL}/{file} by hand and put it at {target}, or name another mirror with {MIRRORS_VARIABLE}"
    )
    if all(failure.status in (404, 410) for _, failure in failures):
        raise QamError(f"no mirror has {file} (HTTP status 404 for {', '.join(urls)}): {by_hand}")
    tried = ", nor ".join(f"{url} ({failure})" for url, failure in failures)
    raise QamError(f"cannot fetch {tried}: {by_hand}")


def _fetch_from_mirror(
    url: str, partial: Partial, progress: Progress | None, waits: Sequence[float], timeout: float
) -> None:
    """Complete the partial file from one mirror, with retries."""
    before = longest = partial.size
    tries = 0
    while True:
        resumed = partial.size > 0
        try:
            transfer(url, partial, progress, timeout)
            _check(partial, resumed)
            return
        except NotFetched as failure:
            if failure.status == 416:
                partial.discard()
            if partial.size >= longest + BLOCK:
                longest, tries = partial.size, 0
            lost = isinstance(failure, Unreachable) and partial.size > before  # it was reached a moment ago
            if not (failure.again or lost) or tries == len(waits):
                raise
            time.sleep(waits[tries])
            tries += 1


def _check(partial: Partial, resumed: bool) -> None:
    """Discard a file that is not an intact npz, and flush an intact one to the disk.

    All data are read and compared with their CRCs, since no checksums are published: only the CRCs detect parts of
    different files, or holes that a power failure has left. This takes less time than any download.
    """
    try:
        with open_npz(partial.path) as file:
            intact = file.is_intact()
    except QamError:
        intact = False
    if not intact:
        partial.discard()
        raise NotFetched("the response is not an intact npz file", again=resumed)
    with open(partial.path, "ab") as written:
        flush_to_disk(written)
