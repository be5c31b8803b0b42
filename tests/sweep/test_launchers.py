"""Sweeps as they are launched: in processes, through joblib, submitit and Ray, with runs that die among them."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qam_torch.config.composition import compose
from qam_torch.sweep.record import Record
from qam_torch.system.machine import cpu_cores, is_alive
from tests.helpers.runs import TINY, Command, Fit, environment, one_sentence

LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=qam_joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=qam_slurm_local"],
    "ray": ["hydra/launcher=qam_ray"],
}
PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
ONE_FAST = [name if name == "joblib" else pytest.param(name, marks=pytest.mark.slow) for name in LAUNCHERS]
BRIEF = (
    "offline_steps=10",
    "eval_every=10",
    "checkpoint_every=5",
    "eval_episodes=1",
    "logger=csv",
    "--config-dir",
    "conf",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory of a user's own, with the methods of misbehaving_methods.py."""
    (tmp_path / "conf" / "algo").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "helpers" / "misbehaving_methods.py", tmp_path)
    for name in ("Telling", "Failing", "Mistaken", "Dying", "Slow"):
        text = f"defaults:\n  - qam\n\n_target_: misbehaving_methods.{name}\n"
        (tmp_path / "conf" / "algo" / f"{name.lower()}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def launched(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The words that choose a launcher; Ray's files go to a directory whose name is short enough for its sockets."""
    if request.param in PLUGINS:
        pytest.importorskip(f"hydra_plugins.{PLUGINS[request.param]}")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory:
        words = [*LAUNCHERS[request.param]]
        if request.param == "ray":
            words += [
                f"+hydra.launcher.ray.init._temp_dir={directory}",
                "+hydra.launcher.ray.init.include_dashboard=false",
            ]
        yield words


def sweep(project: Path, data: Path, *words: str) -> list[str]:
    """The command line, for a working directory of the user's own."""
    return ["-m", "qam_torch.train", "-m", *TINY, *BRIEF, f"data.directory={data}", "runs_root=runs", *words]


def variables(**more: str) -> dict[str, str]:
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    source = str(Path(__file__).resolve().parents[2] / "src")
    return environment(**quiet, PYTHONPATH=os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]), **more)


def table(project: Path) -> dict[str, dict[str, str]]:
    """sweep.csv of the newest sweep, by what tells its runs apart."""
    newest = max((project / "runs" / "sweeps").iterdir())
    with open(newest / "sweep.csv", newline="") as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def named(project: Path, *words: str) -> Path:
    """The directory that a single run of these words has."""
    return project / compose([*TINY, *BRIEF[:5], "runs_root=runs", *words], project / "conf").run_dir


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for a condition, and give back what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("launched", ONE_FAST, indirect=True)
def test_no_run_takes_the_others_along(
    launched: list[str], project: Path, data_directory: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = sweep(project, data_directory, "algo=dying,failing,mistaken,telling", *launched)
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env=variables(CUDA_VISIBLE_DEVICES="7,8"), capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout + done.stderr
    rows = table(project)
    assert {name: row["ended"] for name, row in rows.items()} == {
        "algo=dying": "failed", "algo=failing": "failed", "algo=mistaken": "failed", "algo=telling": "finished"
    }  # fmt: skip
    assert "its process was killed by SIGKILL" in rows["algo=dying"]["reason"]
    assert rows["algo=failing"]["reason"] == "the sky has fallen: put it back"
    assert rows["algo=mistaken"]["reason"].startswith("KeyError: ")
    assert "4 runs: 3 failed, 1 finished" in done.stdout
    for name, row in rows.items():
        directory = named(project, name)
        assert row["directory"] == str(directory)
        assert (directory / "summary.json").exists() == (row["ended"] == "finished")
    assert float(rows["algo=telling"]["score"]) >= 0 and float(rows["algo=telling"]["seconds"]) > 0
    if "hydra/launcher=qam_joblib" in launched:
        given = [log.read_text() for log in (project / "runs" / "sweeps").rglob("*.log")]
        threads = max(1, cpu_cores() // 2)
        told = [f"given {gpu} {threads}\n" for gpu in (7, 8) if any(f"given {gpu} {threads}\n" in one for one in given)]
        assert len(told) == 2


@pytest.mark.slow
def test_finished_runs_are_left_alone_and_broken_ones_resumed(
    tiny: Callable[..., list[str]], tiny_fit: Fit, train: Callable[..., int], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [*tiny(""), "logger=csv", f"runs_root={tmp_path}/runs"]
    words = [word for word in words if not word.startswith("run_dir")]
    for seed in (1, 2):
        tiny_fit(compose([*words, f"seed={seed}"]).run_dir, "logger=csv", f"runs_root={tmp_path}/runs", f"seed={seed}")
    broken = Path(compose([*words, "seed=2"]).run_dir)
    (broken / "summary.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in broken.with_name("seed1").rglob("*")}
    assert train("-m", *words, "seed=1,2,3", "skip_completed=true") == 0
    rows = table(tmp_path)
    assert [row["ended"] for row in rows.values()] == ["skipped", "resumed", "finished"]
    assert before == {path: path.stat().st_mtime_ns for path in broken.with_name("seed1").rglob("*")}
    assert not list(broken.parent.glob("*.old-*"))
    assert "3 runs: 1 skipped, 1 resumed, 1 finished" in capfd.readouterr().out


def begun(project: Path) -> list[Record]:
    """The records of the newest sweep."""
    sweeps = sorted((project / "runs" / "sweeps").glob("*/runs"))
    return [Record.read(path) for path in sorted(sweeps[-1].glob("*.json"))] if sweeps else []


@pytest.fixture
def started(project: Path, data_directory: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """started(*words) -> a sweep that is going on; it is ended after the test."""
    processes = []

    def start(*words: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, *sweep(project, data_directory, *words)], cwd=project, env=variables(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    for record in begun(project):
        if record.pid and is_alive(record.pid):
            os.kill(record.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["basic", "joblib"], indirect=True)
def test_an_interrupt_ends_all_and_leaves_the_table_so_far(
    launched: list[str], project: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    process = started("algo=slow", "seed=1,2,3", "offline_steps=10000", *launched)
    count = 2 if "hydra.launcher.n_jobs=2" in launched else 1
    until(lambda: len(list(project.rglob("last.ckpt"))) == count)
    pids = [record.pid for record in begun(project)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    assert one_sentence(err) == "qam-train: interrupted; the same command with skip_completed=true continues"
    assert f"3 runs: {count} interrupted, {3 - count} not started" in out
    assert len(pids) == count
    until(lambda: not any(map(is_alive, pids)), 30)


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["submitit"], indirect=True)
def test_a_preempted_job_is_queued_again_and_continues(
    launched: list[str], project: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    process = started("algo=slow", "offline_steps=40", "eval_every=40", *launched)
    until(lambda: list(project.rglob("last.ckpt")))
    (record,) = begun(project)
    status = Path(f"/proc/{record.pid}/status").read_text()
    job = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
    os.kill(job, signal.SIGUSR2)  # as Slurm does before it takes the machine away
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    (row,) = table(project).values()
    assert row["ended"] == "resumed"
    assert not list(project.rglob("*.old-*"))
    (log,) = (project / "runs" / "sweeps").rglob("0000.log")
    assert "continuing from update" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["submitit"], indirect=True)
def test_a_lost_job_leaves_the_others_their_results(
    launched: list[str], project: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    process = started("algo=slow,telling", *launched)
    (lost,) = until(lambda: [record for record in begun(project) if record.pid and "algo=slow" in record.words])
    status = Path(f"/proc/{lost.pid}/status").read_text()
    job = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
    os.kill(job, signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, out + err
    rows = table(project)
    assert rows["algo=telling"]["ended"] == "finished"
    assert rows["algo=slow"]["ended"] == "failed" and "left no result" in rows["algo=slow"]["reason"]
    until(lambda: not is_alive(lost.pid), 30)


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["basic", "joblib", "submitit"], indirect=True)
def test_no_run_outlives_the_command(
    launched: list[str], project: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    process = started("algo=slow", "seed=1,2", "offline_steps=10000", *launched)
    until(lambda: list(project.rglob("last.ckpt")))
    process.kill()
    until(lambda: not any(is_alive(record.pid) for record in begun(project) if record.pid), 60)
    assert {record.outcome.ending for record in begun(project)} <= {"interrupted", "failed"}
