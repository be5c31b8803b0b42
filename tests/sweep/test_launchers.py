"""Sweeps as they are launched: in processes, through joblib, submitit and Ray, with runs that die among them."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qam_torch.config.composition import compose
from qam_torch.sweep.record import Record
from qam_torch.system.machine import cpu_cores, is_alive
from tests.helpers.forked import Forked
from tests.helpers.processes import end_session
from tests.helpers.runs import TINY, Fit, environment, one_sentence

LAUNCHERS = {
    "joblib": ["hydra/launcher=qam_joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=qam_slurm_local"],
    "ray": ["hydra/launcher=qam_ray"],
}
PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
Started = Callable[..., Forked]
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


@pytest.fixture
def started(project: Path, data_directory: Path) -> Iterator[Started]:
    """started(*words) -> a sweep that has begun in the project; it is ended after the test."""
    processes = []

    def start(*words: str) -> Forked:
        command = ["qam-train", "-m", *TINY, *BRIEF, f"data.directory={data_directory}", "runs_root=runs", *words]
        processes.append(Forked(command, project / "out", project / "err", project, variables()))
        return processes[-1]

    yield start
    for process in processes:
        end_session(process.pid)
        process.wait()
    for record in begun(project):
        if record.pid and is_alive(record.pid):
            os.kill(record.pid, signal.SIGKILL)


def begun(project: Path) -> list[Record]:
    """The records of the newest sweep."""
    sweeps = sorted((project / "runs" / "sweeps").glob("*/runs"))
    return [Record.read(path) for path in sorted(sweeps[-1].glob("*.json"))] if sweeps else []


def printed(process: Forked) -> str:
    """All that a sweep has printed."""
    return process.out.read_text() + process.err.read_text()


def variables() -> dict[str, str]:
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    source = str(Path(__file__).resolve().parents[2] / "src")
    return environment(**quiet, PYTHONPATH=os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]))


def table(project: Path) -> dict[str, dict[str, str]]:
    """sweep.csv of the newest sweep, by what distinguishes its runs."""
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


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["submitit", "ray"], indirect=True)
def test_every_launcher_runs_what_follows_a_failed_run(launched: list[str], project: Path, started: Started) -> None:
    """For joblib see the next test."""
    sweep = started("algo=dying,telling", *launched)
    assert sweep.wait(200) == 1, printed(sweep)
    rows = table(project)
    assert {name: row["ended"] for name, row in rows.items()} == {"algo=dying": "failed", "algo=telling": "finished"}
    assert "its process was killed by SIGKILL" in rows["algo=dying"]["reason"]


def test_no_run_takes_the_others_along(project: Path, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(f"hydra_plugins.{PLUGINS['joblib']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")
    sweep = started("algo=dying,failing,mistaken,telling", *LAUNCHERS["joblib"])
    assert sweep.wait(200) == 1, printed(sweep)
    rows = table(project)
    assert {name: row["ended"] for name, row in rows.items()} == {
        "algo=dying": "failed", "algo=failing": "failed", "algo=mistaken": "failed", "algo=telling": "finished"
    }  # fmt: skip
    assert "its process was killed by SIGKILL" in rows["algo=dying"]["reason"]
    assert rows["algo=failing"]["reason"] == "the sky has fallen: put it back"
    assert rows["algo=mistaken"]["reason"].startswith("KeyError: ")
    assert "4 runs: 3 failed, 1 finished" in printed(sweep)
    for name, row in rows.items():
        directory = named(project, name)
        assert row["directory"] == str(directory)
        assert (directory / "summary.json").exists() == (row["ended"] == "finished")
    assert float(rows["algo=telling"]["score"]) >= 0 and float(rows["algo=telling"]["seconds"]) > 0
    given = [log.read_text() for log in (project / "runs" / "sweeps").rglob("*.log")]
    threads = max(1, cpu_cores() // 2)
    assert all(any(f"given {gpu} {threads}\n" in one for one in given) for gpu in (7, 8))


@pytest.mark.slow
def test_finished_runs_are_left_alone_and_broken_ones_resumed(
    tiny: Callable[..., list[str]], tiny_fit: Fit, train: Callable[..., int], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    more = [*BRIEF[:5], f"runs_root={tmp_path}/runs"]
    words = [word for word in (*tiny(""), *more) if not word.startswith("run_dir")]
    for seed in (1, 2):
        tiny_fit(compose([*words, f"seed={seed}"]).run_dir, *more, f"seed={seed}")
    broken = Path(compose([*words, "seed=2"]).run_dir)
    (broken / "summary.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in broken.with_name("seed1").rglob("*")}
    assert train("-m", *words, "seed=1,2", "skip_completed=true") == 0
    rows = table(tmp_path)
    assert [row["ended"] for row in rows.values()] == ["skipped", "resumed"]
    assert before == {path: path.stat().st_mtime_ns for path in broken.with_name("seed1").rglob("*")}
    assert not list(broken.parent.glob("*.old-*"))
    assert "2 runs: 1 skipped, 1 resumed" in capfd.readouterr().out


@pytest.mark.slow
def test_an_interrupt_ends_all_and_leaves_the_table_so_far(project: Path, started: Started) -> None:
    """Of two runs at a time; of one at a time it is among the frozen commands."""
    pytest.importorskip(f"hydra_plugins.{PLUGINS['joblib']}")
    process = started("algo=slow", "seed=1,2,3", "offline_steps=10000", *LAUNCHERS["joblib"])
    until(lambda: len(list(project.rglob("last.ckpt"))) == 2)
    pids = [record.pid for record in begun(project)]
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 130, printed(process)
    message = one_sentence(process.err.read_text())
    assert message == "qam-train: interrupted; the same command with skip_completed=true continues"
    assert "3 runs: 2 interrupted, 1 not started" in process.out.read_text()
    assert len(pids) == 2
    until(lambda: not any(map(is_alive, pids)), 30)


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["submitit"], indirect=True)
def test_a_preempted_job_is_queued_again_and_continues(launched: list[str], project: Path, started: Started) -> None:
    process = started("algo=slow", "offline_steps=40", "eval_every=40", *launched)
    until(lambda: list(project.rglob("last.ckpt")))
    (record,) = begun(project)
    status = Path(f"/proc/{record.pid}/status").read_text()
    job = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
    os.kill(job, signal.SIGUSR2)  # as Slurm does before it takes the machine away
    assert process.wait(200) == 0, printed(process)
    (row,) = table(project).values()
    assert row["ended"] == "resumed"
    assert not list(project.rglob("*.old-*"))
    (log,) = (project / "runs" / "sweeps").rglob("0000.log")
    assert "continuing from update" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["submitit"], indirect=True)
def test_a_lost_job_leaves_the_others_their_results(launched: list[str], project: Path, started: Started) -> None:
    process = started("algo=slow,telling", *launched)
    (lost,) = until(lambda: [record for record in begun(project) if record.pid and "algo=slow" in record.words])
    status = Path(f"/proc/{lost.pid}/status").read_text()
    job = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
    os.kill(job, signal.SIGKILL)
    assert process.wait(200) == 1, printed(process)
    rows = table(project)
    assert rows["algo=telling"]["ended"] == "finished"
    assert rows["algo=slow"]["ended"] == "failed" and "left no result" in rows["algo=slow"]["reason"]
    until(lambda: not is_alive(lost.pid), 30)


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["joblib", "submitit"], indirect=True)
def test_no_run_outlives_the_command(launched: list[str], project: Path, started: Started) -> None:
    process = started("algo=slow", "seed=1,2", "offline_steps=10000", *launched)
    until(lambda: list(project.rglob("last.ckpt")))
    process.send_signal(signal.SIGKILL)
    until(lambda: not any(is_alive(record.pid) for record in begun(project) if record.pid), 60)
    assert {record.outcome.ending for record in begun(project)} <= {"interrupted", "failed"}
