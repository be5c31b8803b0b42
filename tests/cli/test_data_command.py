"""`qam-data list`, `get` and `generate`: what they print, what they leave, and that a kill costs nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import qam_torch
from qam_torch.cli.data import main
from qam_torch.data.catalog import CATALOG
from qam_torch.data.dataset_files import ensure_dataset, generated_path
from qam_torch.data.ogbench_format import file_hash, read_npz
from qam_torch.system.console import readable_size
from tests.helpers.mirror_server import Mirror, npz, serving

CUBE = "cube-single-play-v0"
POINT = "pointmaze-medium-navigate-v0"
PROGRAM = "import sys; from qam_torch.cli.data import main; sys.exit(main())"

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(Mirror({f"{CUBE}.npz": npz(0, 100_000), f"{CUBE}-val.npz": npz(1, 100)})) as running:
        yield running


@pytest.fixture
def start(mirror: Mirror) -> Iterator[Started]:
    """start(*words) -> the command in a process of its own; none outlives the test."""
    running: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "no_proxy": "127.0.0.1", "QAM_DATA_MIRRORS": mirror.url}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def wait_for_half(directory: Path, total: int) -> None:
    part, deadline = directory / f".{CUBE}.npz.part", time.monotonic() + 60
    while not part.exists() or part.stat().st_size < total // 2:
        assert time.monotonic() < deadline, "the download did not get half-way"
        time.sleep(0.005)


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence that a command ends with."""
    try:
        status = main(words)
    except SystemExit as ended:
        status = int(ended.code or 0)
    out, err = capsys.readouterr()
    assert (status, out) == (1, "")
    assert err.startswith("qam-data: ") and err.count("\n") == 1
    return err


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_killed_half_way_then_finished_by_two_at_once(mirror: Mirror, start: Started, tmp_path: Path) -> None:
    body, validation = mirror.files[f"{CUBE}.npz"], mirror.files[f"{CUBE}-val.npz"]
    mirror.pause = 0.01
    victim = start("get", CUBE, "--directory", str(tmp_path))
    wait_for_half(tmp_path, len(body))
    victim.kill()
    assert victim.wait() == -signal.SIGKILL
    kept = (tmp_path / f".{CUBE}.npz.part").stat().st_size
    assert len(body) // 2 <= kept < len(body)
    assert not list(tmp_path.glob("*.npz"))
    time.sleep(0.1)  # the server notices
    mirror.sent, mirror.pause = 0, 0.0
    both = [start("--directory", str(tmp_path), "get", CUBE) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        path = tmp_path / f"{CUBE}.npz"
        assert out == f"{path}  {readable_size(len(body))}  sha256 {file_hash(path)}\n"
    assert (tmp_path / f"{CUBE}.npz").read_bytes() == body
    assert (tmp_path / f"{CUBE}-val.npz").read_bytes() == validation
    assert mirror.sent == len(body) - kept + len(validation)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{CUBE}{end}" for end in (".npz", ".npz.sha256", "-val.npz", "-val.npz.sha256")
    )


def test_interrupted(mirror: Mirror, start: Started, tmp_path: Path) -> None:
    mirror.pause = 0.01
    process = start("get", CUBE, "--directory", str(tmp_path))
    wait_for_half(tmp_path, len(mirror.files[f"{CUBE}.npz"]))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "qam-data: interrupted; the same command continues where it stopped\n"
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.slow
def test_generate_in_a_process_of_its_own(
    start: Started, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("generate", POINT, "--transitions", "2000", "--workers", "2", "--seed", "3", "--directory", str(tmp_path))
    process = start(*words)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    path = generated_path(POINT, tmp_path, 2000, 3)
    made, advice = out.splitlines()
    assert re.fullmatch(rf"{path}  3000 transitions in \d+ s, \d+ per second", made)
    assert len(read_npz(path, 2, 2)["actions"]) == 2002
    overrides = shlex.split(advice.removeprefix("train on it with: qam-train "))
    config = qam_torch.compose(overrides)
    assert (config.env.dataset, config.data.path) == (POINT, str(path))
    before = path.stat()
    assert printed(capsys, *words).splitlines() == [f"{path} already exists: remove it to generate it again", advice]
    assert path.stat() == before
    assert ensure_dataset(POINT, tmp_path, 2000, 3).path == path
    table = printed(capsys, "list", POINT, "--directory", str(tmp_path)).splitlines()
    assert re.fullmatch(rf"{POINT} .* made 2000, seed 3", table[1])
    other = tmp_path / "other.npz"
    assert printed(capsys, *words, "--output", str(other)).startswith(f"{other}  3000 transitions")
    assert other.read_bytes() == path.read_bytes()


def test_get_takes_several_names_and_mirrors(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("QAM_DATA_MIRRORS", "http://127.0.0.1:1")
    ant = "antmaze-giant-stitch-v0"
    with serving(Mirror({f"{ant}.npz": npz(2, 10), f"{ant}-val.npz": npz(3, 10)})) as second:
        words = ("get", CUBE, ant, "--directory", str(tmp_path), "--mirror", mirror.url, "--mirror", second.url)
        lines = printed(capsys, *words).splitlines()
        assert [Path(line.split()[0]).name for line in lines] == [f"{CUBE}.npz", f"{ant}.npz"]
        assert lines[1].split()[-1] == file_hash(tmp_path / f"{ant}.npz")
        assert printed(capsys, *words).splitlines() == lines  # nothing is fetched again
        assert len(second.requests) == 2
        (tmp_path / f"{CUBE}.npz").write_bytes(b"something else")
        assert "has changed since its checksum was recorded" in failing(capsys, *words)


def test_get_refuses_before_it_fetches(mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(name: str, url: str = mirror.url) -> str:
        return failing(capsys, "get", CUBE, name, "--mirror", url, "--directory", str(tmp_path))

    assert "unknown dataset 'cube-single-v0': the nearest names are" in message("cube-single-v0")
    assert "'visual-cube-single-play-v0' contains images" in message("visual-cube-single-play-v0")
    assert "not published: generate it with `qam-data generate cube-octuple" in message("cube-octuple-play-v0")
    assert "mirror 'ftp://x' is not an http or https address" in message("scene-play-v0", "ftp://x")
    assert mirror.requests == []


def test_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    message = failing(capsys, "get", CUBE, "--mirror", "http://127.0.0.1:1", "--directory", str(tmp_path))
    assert f"ogbench/{CUBE}.npz by hand and put it at {tmp_path}/{CUBE}.npz" in message


def test_generate_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--directory", str(tmp_path))
    assert "takes trained experts" in failing(capsys, "generate", "antmaze-giant-stitch-v0", *where)
    assert "transitions=0 is out of range" in failing(capsys, "generate", POINT, "--transitions", "0", *where)
    assert "seed=-1 is out of range" in failing(capsys, "generate", POINT, "--seed", "-1", *where)
    assert "invalid int value: 'many': see `qam-data generate --help`" in failing(
        capsys, "generate", POINT, "--transitions", "many", *where
    )
    assert "--output" in failing(capsys, "generate", POINT, "--output", str(tmp_path / "file.hdf5"), *where)
    assert list(tmp_path.iterdir()) == []


def test_list_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{CUBE}.npz").write_bytes(bytes(1_234_567))
    (tmp_path / "scene-play-v0.npz").write_bytes(b"training")
    (tmp_path / f"{CUBE}-val.npz").write_bytes(b"")
    for seed in (0, 1):
        path = generated_path("puzzle-3x3-play-v0", tmp_path, 500, seed)
        for file in (path, path.with_name(f"{path.stem}-val.npz")):
            file.write_bytes(b"")
    header, *rows, footer = printed(capsys, "list", "--directory", str(tmp_path)).splitlines()
    assert max(map(len, [header, *rows])) <= 100
    assert [row.split()[0] for row in rows] == list(CATALOG)
    assert footer == f"{len(CATALOG)} datasets; files are searched in {tmp_path}"
    where = {row.split()[0]: row[header.index("where") :] for row in rows}
    assert where[CUBE] == "on disk, 1.2 MB"
    assert where["scene-play-v0"] == "1 of its files on disk"
    assert where["puzzle-3x3-play-v0"] == "made 500, seed 0 +1"
    assert where["cube-triple-play-v0"] == "download or generate"
    assert where["cube-octuple-play-v0"] == "generate"
    assert where["antmaze-giant-stitch-v0"] == "download (expert data)"
    (giant,) = [row for row in rows if row.startswith("humanoidmaze-giant-navigate-100m-v0")]
    assert re.search(r" 100,000,000 +25,000 x 4,000 +50 ", giant)


def test_list_for_machines_and_by_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = generated_path(POINT, tmp_path, 500, 7)
    for file in (path, path.with_name(f"{path.stem}-val.npz")):
        file.write_bytes(b"")
    found = json.loads(printed(capsys, "list", "pointmaze-medium", "--json", "--directory", str(tmp_path)))
    assert [one["name"] for one in found] == [POINT, "pointmaze-medium-stitch-v0"]
    assert found[0]["generated"] == [{"path": str(path), "transitions": 500, "seed": 7}]
    assert (found[0]["transitions"], found[0]["download"], found[0]["generate"]) == (1_000_000, True, True)
    names = [line.split()[0] for line in printed(capsys, "list", "antmaze*stitch").splitlines()[1:-1]]
    assert names == [f"antmaze-{maze}-stitch-v0" for maze in ("medium", "large", "giant", "teleport")]
    assert "no dataset name contains 'atari'" in failing(capsys, "list", "atari")


def test_command_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: VERB: see `qam-data --help`" in failing(capsys)
    assert "invalid choice: 'fetch'" in failing(capsys, "fetch", CUBE)


def test_parsing_the_command_line_loads_nothing_heavy() -> None:
    program = (
        "import sys; from qam_torch.cli.data import _parser; _parser().parse_args(['list']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'hydra', 'gymnasium')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sizes() -> None:
    sizes = (0, 999, 1000, 999_949, 999_950, 1_234_567_890, 12_345_678_901_234_567)
    assert [readable_size(size) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.2 GB", "12345.7 TB"
    ]  # fmt: skip


def test_a_file_of_another_name_is_not_taken_for_the_one_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("generate", POINT, "--transitions", "20", "--workers", "1", "--output", str(tmp_path / "x.npz"))
    printed(capsys, *words)
    assert main([*words, "--seed", "1"]) == 1
    assert "x.npz already exists without a record of its origin" in capsys.readouterr().err
