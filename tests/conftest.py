"""Settings and fixtures shared by all tests: a tiny dataset, tiny runs, and the commands."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Set before torch is imported anywhere: tests consist of many small operations, which several threads only slow down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from absl import logging as absl_logging
from hydra.core.global_hydra import GlobalHydra

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.data.dataset_files import ensure_dataset
from qam_torch.system.machine import cpu_cores
from qam_torch.training import summary
from qam_torch.training.fit import RunResult
from tests.helpers.emulated_cuda import cuda_graphs  # noqa: F401 (a fixture)
from tests.helpers.runs import ROOT, TRANSITIONS, Command, Fit, environment, shorten_episodes, tiny_of, unrecorded

# dm_control's logger takes whatever stderr is when it is imported, and closes it when Hydra configures the logging of a
# later job. Under pytest that is the stream of pytest's own capture; the process's real stderr is never closed.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

# As in a terminal: a shell's background job or nohup, which these tests may run under, passes ignored signals on to its
# children.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


LONGEST = (
    "tests/field/test_field.py", "tests/sweep/test_launchers.py", "tests/frozen/test_frozen_commands.py",
    "tests/algorithms/test_captured_update.py", "tests/export/test_export_policy.py",
    "tests/training/test_every_method_trains.py", "tests/training/test_online.py", "tests/packaging/test_conf.py",
    "tests/frozen/test_frozen_measured.py", "tests/suites/test_custom_data.py", "tests/packaging/test_paper.py",
    "tests/flows/test_tilted_density.py", "tests/data/test_relabel.py", "tests/training/test_resume.py",
    "tests/packaging/test_documented_commands.py", "tests/bench/test_kernel_counts.py", "tests/sweep/test_sweep.py",
    "tests/data/test_manipulation.py", "notebooks/sweep_inv_temp.ipynb", "notebooks/adjoint_matching_2d.ipynb",
    "notebooks/qam_step_by_step.ipynb",
)  # fmt: skip
"""Files that take longest: they begin first, so that none is left to one process at the end."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, for many tests wait for commands that they start."""
    return cpu_cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def same_numbers_every_time() -> None:
    """The tests' torch.randn gives the same numbers in every run and order of tests."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def few_objects_to_collect() -> None:
    """A full garbage collection, such as each training run begins with, takes half a second in a process of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a generated point maze dataset, as runs expect it."""
    directory = tmp_path_factory.mktemp("data")
    ensure_dataset("pointmaze-medium-navigate-v0", directory, TRANSITIONS, seed=0, workers=1)
    return directory


@pytest.fixture(scope="session")
def tiny(data_directory: Path) -> Callable[..., list[str]]:
    """tiny(run_dir, *more) -> overrides of a tiny run in that directory."""

    def overrides(run_dir: Path | str, *more: str) -> list[str]:
        algo = next((word.removeprefix("algo=") for word in more if word.startswith("algo=")), "qam")
        return [*tiny_of(algo), f"data.directory={data_directory}", f"run_dir={run_dir}", *more]

    return overrides


@pytest.fixture(scope="session")
def tiny_fit(tiny: Callable[..., list[str]]) -> Fit:
    """tiny_fit(run_dir, *more, plots=False) -> RunResult, in this process."""

    def fit(run_dir: Path | str, *more: str, plots: bool = False) -> RunResult:
        with pytest.MonkeyPatch.context() as patch:
            shorten_episodes(patch.setattr)
            patch.setattr(Algorithm, "update", unrecorded)
            if not plots:
                patch.setattr(summary, "save_plots", lambda *_: [])
            return qam_torch.fit(qam_torch.compose(tiny(run_dir, *more)))

    return fit


@pytest.fixture(scope="session")
def finished(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished tiny run, with everything a run leaves; not to be written to."""
    return tiny_fit(tmp_path_factory.mktemp("finished") / "run", "compare_behavior=true", plots=True)


@pytest.fixture(scope="session")
def population(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished tiny population of three, in float64; not to be written to."""
    return tiny_fit(tmp_path_factory.mktemp("population") / "run", "seeds=[1,2,3]", "precision=float64")


@pytest.fixture
def short_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of medium point mazes end after 30 steps in this process."""
    shorten_episodes(monkeypatch.setattr)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, short_episodes: None) -> Iterator[Callable[..., int]]:
    """train(*words) -> exit status of `qam-train` with these words, in this process."""
    from qam_torch.cli.train import main

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["qam-train", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    yield run
    GlobalHydra.instance().clear()


@pytest.fixture(scope="session")
def command() -> Command:
    """command(*words, **options of subprocess.run) -> the finished process of a Python program."""

    def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=240,
            env=environment(),
            cwd=options.pop("cwd", ROOT),
            **options,
        )

    return run
