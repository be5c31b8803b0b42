"""Fetching against a server that misbehaves: the file is the server's to the byte, or is not there."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qam_torch.data.catalog import DATASET_URL, catalog_entry
from qam_torch.data.checksums import checksum, record_path
from qam_torch.data.fetching import download, transfer
from qam_torch.data.fetching.download import fetch_dataset, fetch_file, mirror_urls
from qam_torch.data.ogbench_format import file_hash
from qam_torch.system.locks import exclusive
from qam_torch.types import QamError
from tests.helpers.mirror_server import Mirror, npz, serving

FILE = "x-v0.npz"
BODY = npz()


class Killed(BaseException):
    """Stands for a kill at some moment: no code catches it."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(download.MIRRORS_VARIABLE, raising=False)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(Mirror({FILE: BODY})) as running:
        yield running


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, which are not made."""
    pauses: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def fetch(mirror: Mirror, directory: Path, *more: Mirror, **options: Any) -> Path:
    return fetch_file(FILE, directory, [one.url for one in (mirror, *more)], **options)


def assert_whole(directory: Path, body: bytes = BODY) -> None:
    """The file and its true record are there, and nothing else."""
    assert (directory / FILE).read_bytes() == body
    assert record_path(directory / FILE).read_text().splitlines()[1] == f"{file_hash(directory / FILE)}  {FILE}"
    assert sorted(path.name for path in directory.iterdir()) == [FILE, f"{FILE}.sha256"]


def test_whole_file_and_its_checksum(mirror: Mirror, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert fetch(mirror, tmp_path / "new", progress=lambda *now: seen.append(now)) == tmp_path / "new" / FILE
    assert_whole(tmp_path / "new")
    assert seen == sorted(seen) and seen[-1] == (len(BODY), len(BODY))
    assert fetch(mirror, tmp_path / "new") == tmp_path / "new" / FILE
    assert len(mirror.requests) == 1  # what is there is not asked for again


@pytest.mark.parametrize("fault", ["cut:30000", "hang:30000"])
@pytest.mark.parametrize(("etags", "dated"), [(True, True), (True, False), (False, True)])
def test_broken_connection_is_continued(
    mirror: Mirror, tmp_path: Path, waited: list[float], fault: str, etags: bool, dated: bool
) -> None:
    mirror.faults, mirror.etags, mirror.dated = [fault], etags, dated
    fetch(mirror, tmp_path, timeout=0.2)
    assert_whole(tmp_path)
    assert mirror.requests == [(FILE, None), (FILE, "bytes=30000-")]
    assert mirror.sent == len(BODY)
    assert waited == [1]


@pytest.mark.parametrize("change", ["ranges", "etags and dates", "weak etags"])
def test_what_cannot_be_continued_starts_afresh(
    mirror: Mirror, tmp_path: Path, waited: list[float], change: str
) -> None:
    mirror.faults, mirror.ranges = ["cut:30000"], change != "ranges"
    mirror.etags, mirror.dated, mirror.weak = change != "etags and dates", change == "ranges", change == "weak etags"
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)
    assert mirror.sent == 30000 + len(BODY)


def test_file_that_changed_meanwhile_starts_afresh(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = ["cut:30000", 404]
    with pytest.raises(QamError):
        fetch(mirror, tmp_path)
    mirror.files[FILE] = other = npz(seed=1)
    fetch(mirror, tmp_path)
    assert_whole(tmp_path, other)
    assert mirror.requests[-1] == (FILE, "bytes=30000-")


def test_next_mirror_continues_the_same_file(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = ["cut:30000", 404]
    with serving(Mirror({FILE: BODY}, name="other")) as second:
        fetch(mirror, tmp_path, second)
        assert second.requests == [(FILE, "bytes=30000-")]
        assert mirror.sent + second.sent == len(BODY)
    assert_whole(tmp_path)


def test_next_mirror_with_another_file_starts_afresh(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults, other = ["cut:30000", 404], npz(seed=1)
    with serving(Mirror({FILE: other})) as second:
        fetch(mirror, tmp_path, second)
    assert_whole(tmp_path, other)


def test_server_without_lengths(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.sized, seen = False, []
    fetch(mirror, tmp_path, progress=lambda *now: seen.append(now))
    assert_whole(tmp_path)
    assert seen[-1] == (len(BODY), None)
    (tmp_path / FILE).unlink()
    mirror.faults = ["cut:30000"]  # only the zip can tell
    with pytest.raises(QamError, match="not an intact npz"):
        fetch(mirror, tmp_path)
    assert not (tmp_path / FILE).exists()


def test_errors_of_the_server_are_waited_out(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = [500, 503, 429]
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)
    assert waited == [1, 2, 4]


def test_tries_are_few(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = [502] * 100
    with pytest.raises(QamError, match=r"cannot fetch http://127.*x-v0.npz \(HTTP status 502 Bad Gateway\): fetch "):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) == 5 and waited == [1, 2, 4, 8]
    assert list(tmp_path.iterdir()) == []


def test_news_start_the_tries_anew(
    mirror: Mirror, tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flaky line brings the file in the end; a server that always cuts at the same place is given up."""
    monkeypatch.setattr(download, "BLOCK", 10_000)
    mirror.faults = ["cut:10000"] * 6
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)
    assert len(mirror.requests) == 7 and set(waited) == {1}
    (tmp_path / FILE).unlink()
    mirror.faults, mirror.ranges = ["cut:10000"] * 100, False
    with pytest.raises(QamError, match=f"ended after 10000 of {len(BODY)} bytes"):
        fetch(mirror, tmp_path)
    assert len(mirror.faults) == 100 - 5


def test_file_that_no_mirror_has(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.files.clear()
    with serving(Mirror({})) as second, pytest.raises(QamError) as caught:
        fetch(mirror, tmp_path, second)
    assert str(caught.value) == (
        f"no mirror has x-v0.npz (HTTP status 404 for {mirror.url}/x-v0.npz, {second.url}/x-v0.npz): "
        f"fetch {DATASET_URL}/x-v0.npz by hand and put it at {tmp_path}/x-v0.npz, "
        "or name another mirror with QAM_DATA_MIRRORS"
    )
    assert waited == [] and list(tmp_path.iterdir()) == []


def test_no_network(tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    with pytest.raises(QamError) as caught:
        fetch_file(FILE, tmp_path)
    assert str(caught.value) == (
        f"cannot fetch {DATASET_URL}/x-v0.npz (host not found: no network?): fetch {DATASET_URL}/x-v0.npz by hand "
        f"and put it at {tmp_path}/x-v0.npz, or name another mirror with QAM_DATA_MIRRORS"
    )
    assert waited == [] and list(tmp_path.iterdir()) == []


def test_nobody_listens(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    with serving(Mirror({})) as gone:
        pass
    with pytest.raises(QamError, match=rf"{gone.url}/x-v0.npz \(connection refused\)"):
        fetch(gone, tmp_path)
    fetch(gone, tmp_path, mirror)
    assert_whole(tmp_path)
    assert waited == []


def test_trouble_with_encryption_is_reported_as_such(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    with pytest.raises(QamError, match=r"x-v0.npz \(\[SSL.*\]"):
        fetch_file(FILE, tmp_path, [mirror.url.replace("http:", "https:")])
    assert waited == []


@pytest.mark.parametrize("damage", ["page", "flipped", "member"])
def test_what_is_no_intact_npz_is_not_kept(mirror: Mirror, tmp_path: Path, waited: list[float], damage: str) -> None:
    flipped = bytearray(BODY)
    flipped[len(BODY) // 2] ^= 1
    bodies = {"page": b"<html>log in first</html>", "flipped": bytes(flipped), "member": BODY.replace(b".npy", b".exe")}
    mirror.files[FILE] = bodies[damage]
    with pytest.raises(QamError, match="not an intact npz file"):
        fetch(mirror, tmp_path)
    assert waited == [] and list(tmp_path.iterdir()) == []
    with serving(Mirror({FILE: BODY})) as second:
        fetch(mirror, tmp_path, second)
    assert_whole(tmp_path)


def test_beginning_that_a_power_cut_left_with_holes(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = ["cut:30000", 404]
    with pytest.raises(QamError):
        fetch(mirror, tmp_path)
    (tmp_path / f".{FILE}.part").write_bytes(bytes(30000))
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"url": "', b"[]", b'{"total": 3}'])
def test_beginning_of_an_unknown_version_starts_afresh(mirror: Mirror, tmp_path: Path, content: bytes) -> None:
    (tmp_path / f".{FILE}.part").write_bytes(BODY[:100])
    (tmp_path / f".{FILE}.part.json").write_bytes(content)
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)
    assert mirror.requests == [(FILE, None)]


def test_beginning_longer_than_the_file(mirror: Mirror, tmp_path: Path, waited: list[float]) -> None:
    mirror.faults = ["cut:30000", 404]
    with pytest.raises(QamError):
        fetch(mirror, tmp_path)
    (tmp_path / f".{FILE}.part").write_bytes(BODY + b"more")
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("moment", ["first block", "second try", "checked", "recorded", "renamed"])
def test_killed_at_any_moment(
    mirror: Mirror, tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Nothing or all of it under the final name, and the next call ends well, asking for no more than is missing."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    mirror.faults = ["cut:30000"]
    with monkeypatch.context() as patch:
        if moment == "second try":
            patch.setattr(download, "time", SimpleNamespace(sleep=die))
        elif moment == "checked":
            patch.setattr(download, "record_checksum", die)
        elif moment == "recorded":
            patch.setattr(os, "replace", die)
        elif moment == "renamed":
            patch.setattr(transfer.Partial, "finish", die)
        with pytest.raises(Killed):
            fetch(mirror, tmp_path, progress=die if moment == "first block" else None)
    assert (tmp_path / FILE).exists() == (moment == "renamed")
    sent = mirror.sent
    fetch(mirror, tmp_path)
    assert (tmp_path / FILE).read_bytes() == BODY
    assert checksum(tmp_path / FILE) == file_hash(tmp_path / FILE)
    assert moment == "first block" or mirror.sent == len(BODY)
    if moment in ("checked", "recorded", "renamed"):
        assert mirror.sent == sent


def test_record_of_an_earlier_file_is_replaced(mirror: Mirror, tmp_path: Path) -> None:
    record_path(tmp_path / FILE).write_text(f"{'0' * 64}  {FILE}\n")
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)


def test_two_at_once_fetch_it_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause = 0.02
    both = [threading.Thread(target=fetch, args=(mirror, tmp_path)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert mirror.sent == len(BODY)
    assert_whole(tmp_path)


def test_lock_removed_while_waiting_is_no_lock(tmp_path: Path) -> None:
    """Many waiters, each of whom removes the file the others wait for: never two at a time."""
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with exclusive(tmp_path / "x"):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.0002)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and list(tmp_path.iterdir()) == []


def test_file_is_fetched_where_there_are_no_locks(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)


def test_directory_that_cannot_be_used(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(QamError, match=r"cannot write .*file/x-v0.npz \(.*\): free some space or choose another"):
        fetch(mirror, tmp_path / "file")


def test_full_disk(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(QamError, match="No space left on device"):
        fetch(mirror, tmp_path, progress=full)
    assert not (tmp_path / FILE).exists()
    fetch(mirror, tmp_path)
    assert_whole(tmp_path)


def test_mirrors_come_from_the_argument_the_variable_or_ogbench(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirror_urls() == (DATASET_URL,)
    monkeypatch.setenv("QAM_DATA_MIRRORS", "http://one/data/ , https://two,")
    assert mirror_urls() == ("http://one/data", "https://two")
    assert mirror_urls(["http://three"]) == ("http://three",)
    for bad in ("ftp://x", "file:///etc", "example.org/data", "http://", "http://[::1", "http://hö/ä"):
        with pytest.raises(QamError, match="is not an http or https address: give one like"):
            mirror_urls([bad])


def test_shards_that_are_there_are_not_fetched(tmp_path: Path) -> None:
    entry = catalog_entry("puzzle-4x4-play-100m-v0")._replace(shards=2)
    assert entry.files[0] == "puzzle-4x4-play-100m-v0/puzzle-4x4-play-v0-000.npz"
    present, seen = tmp_path / entry.files[0], []
    present.parent.mkdir()
    present.write_bytes(b"here")
    with serving(Mirror({file: npz(seed, rows=10) for seed, file in enumerate(entry.files)})) as mirror:
        fetch_dataset(entry, tmp_path, [mirror.url], lambda *now: seen.append(now))
        assert [path for path, _ in mirror.requests] == list(entry.files[1:])
    assert present.read_bytes() == b"here"
    for seed, file in list(enumerate(entry.files))[1:]:
        body = npz(seed, rows=10)
        assert (tmp_path / file).read_bytes() == body
        assert (file, len(body), len(body)) in seen


def test_unpublished_dataset(tmp_path: Path) -> None:
    with pytest.raises(QamError, match="is not published: generate it with `qam-data generate cube-octuple-play-v0`"):
        fetch_dataset(catalog_entry("cube-octuple-play-v0"), tmp_path)
