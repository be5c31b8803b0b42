"""What is shipped: the wheel holds the configs, and its commands run from anywhere without the checkout.

Slow: builds the source archive, the wheel out of it, and a fresh environment. That environment sees the packages of the
running one through a .pth file (nothing is downloaded again), but never the checkout: neither PYTHONPATH nor the
editable install's own .pth reaches it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.helpers.docs_pages import write_files

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "qam-train", "qam-eval", "qam-export", "qam-verify", "qam-bench", "qam-data", "qam-report", "qam-reproduce",
    "qam-doctor",
}  # fmt: skip
DISTRIBUTION = "qam_torch-"


def relative_files(root: Path, pattern: str) -> set[str]:
    files = (path for path in root.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)) for path in files}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)


def must_run(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel built out of it."""
    folder = tmp_path_factory.mktemp("dist")
    must_run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def fresh(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel installed; its bin directory."""
    folder = tmp_path_factory.mktemp("fresh")
    must_run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    must_run(*pip, "install", "--quiet", "--no-deps", "--no-index", archives[1], cwd=folder)
    own = Path(must_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    paths = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (own / "_dependencies.pth").write_text("\n".join(paths) + "\n")
    return python.parent


def test_the_wheel_holds_the_code_and_the_one_copy_of_the_configs(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        names = set(wheel.namelist())
        for config in relative_files(ROOT / "conf", "*.yaml"):
            assert wheel.read(f"qam_torch/conf/{config}") == (ROOT / "conf" / config).read_bytes()
    shipped = {name for name in names if not name.startswith(DISTRIBUTION)}
    code = {str(name) for name in relative_files(ROOT / "src", "*")}
    configs = {f"qam_torch/conf/{name}" for name in relative_files(ROOT / "conf", "*.yaml")}
    assert shipped == code | configs
    assert {"qam_torch/py.typed", "qam_torch/types.py", "qam_torch/paper/paper_results.csv.gz"} <= code
    assert "qam_torch/conf/train.yaml" in configs
    assert any(name.startswith(DISTRIBUTION) and name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_has_what_a_fresh_build_and_test_need(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    needed = {"pyproject.toml", "constraints.txt", "Makefile", "LICENSE", "README.md", "conf/train.yaml"}
    assert needed <= names
    assert f"tests/packaging/{Path(__file__).name}" in names
    assert not {name for name in names if name.startswith((".venv", "runs", "dist"))}


def test_the_package_comes_from_the_wheel_and_not_from_the_checkout(fresh: Path, tmp_path: Path) -> None:
    code = "import qam_torch, sys; print(qam_torch.__file__); print(*sys.path, sep='\\n')"
    origin, *paths = must_run(fresh / "python", "-c", code, cwd=tmp_path).split("\n")
    assert Path(origin).is_relative_to(fresh.parent)
    assert str(ROOT / "src") not in paths


def test_every_command_is_installed(fresh: Path) -> None:
    assert {path.name for path in fresh.glob("qam-*")} == COMMANDS


def test_help_lists_the_groups(fresh: Path, tmp_path: Path) -> None:
    text = must_run(fresh / "qam-train", "--help", cwd=tmp_path)
    for option in ("qam_e", "cube-triple-play", "quickstart", "wandb"):
        assert option in text
    assert not list(tmp_path.iterdir())


def test_the_configuration_is_composed_from_the_wheel(fresh: Path, tmp_path: Path) -> None:
    text = must_run(fresh / "qam-train", "--cfg", "job", "algo=qam_e", "env=cube-triple-play", cwd=tmp_path)
    config = OmegaConf.create(text)
    assert OmegaConf.select(config, "algo._target_") == "qam_torch.algorithms.QAME"
    assert OmegaConf.select(config, "env.dataset") == "cube-triple-play-v0"
    assert OmegaConf.select(config, "algo.horizon_length") == 5


def test_hydra_finds_the_launchers_where_their_extras_are_installed(fresh: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    found = (
        "from hydra.core.plugins import Plugins; from hydra.plugins.launcher import Launcher; "
        "print(sorted(found.__module__ for found in Plugins.instance().discover(Launcher)))"
    )
    text = must_run(fresh / "python", "-c", found, cwd=tmp_path)
    assert "hydra_plugins.qam_torch_slurm" in text and "hydra_plugins.qam_torch_ray" in text


@pytest.mark.slow
def test_the_papers_runs_are_planned_from_the_wheel(fresh: Path, tmp_path: Path) -> None:
    printed = must_run(fresh / "qam-reproduce", "paper", "--methods", "qam", "--domains", "scene-play", cwd=tmp_path)
    assert "1 x 1 x 5 = 5, each of 12 seeds" in printed


@pytest.mark.slow
def test_a_method_of_ones_own_needs_the_installed_package_only(fresh: Path, tmp_path: Path) -> None:
    write_files("add-a-method.md", tmp_path)
    brief = (
        "offline_steps=2",
        "eval_every=2",
        "checkpoint_every=2",
        "log_every=1",
        "eval_episodes=1",
        "eval_workers=0",
    )
    small = ("algo.actor_hidden_dims=[8]", "algo.value_hidden_dims=[8]", "batch_size=8", "trainer=cpu", "logger=csv")
    data = ("data.directory=data", "data.download=false", "data.generate_transitions=2000")
    words = ("--config-dir", "conf", "algo=awac", "experiment=quickstart", "run_name=awac", *brief, *small, *data)
    assert "awac on pointmaze-medium-navigate task 1" in must_run(fresh / "qam-train", *words, cwd=tmp_path)
    checkpoint = "runs/awac/checkpoints/last.ckpt"
    printed = must_run(fresh / "qam-eval", checkpoint, "--episodes=1", "--workers=0", cwd=tmp_path)
    assert "awac.AWAC on pointmaze-medium-navigate-v0" in printed
    assert "1 run: 1 finished." in must_run(fresh / "qam-report", "runs", cwd=tmp_path)
    assert (tmp_path / "report" / "report.html").read_text().count("<style>") == 1


def test_the_published_figures_come_with_the_package(fresh: Path, tmp_path: Path) -> None:
    code = (
        "import qam_torch; print(qam_torch.published().curve('qam', 'cube-triple-play', task=2).at(1_000_000).success)"
    )
    assert 0 < float(must_run(fresh / "python", "-c", code, cwd=tmp_path)) < 1


def test_an_unknown_algorithm_is_one_sentence_with_the_nearest_name(fresh: Path, tmp_path: Path) -> None:
    done = run(fresh / "qam-train", "algo=qamf", cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "qamf" in said and "qam_f" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_a_hopeless_name_still_fails_and_lists_what_there_is(fresh: Path, tmp_path: Path) -> None:
    done = run(fresh / "qam-train", "algo=nope", cwd=tmp_path)
    assert done.returncode != 0
    assert all(name in done.stdout + done.stderr for name in ("nope", "qam", "qam_f", "qam_e"))
