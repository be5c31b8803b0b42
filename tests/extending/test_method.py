"""A method of the user's own, outside the library: the page about it from its text, and what is refused."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.cli.bench import main as bench_main
from qam_torch.cli.evaluate import main as evaluate_main
from qam_torch.config.composition import compose
from qam_torch.config.groups import with_config_directory
from qam_torch.config.overrides import jobs
from qam_torch.inference.threads import one_is_enough
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.system.import_path import include_working_directory
from qam_torch.training import summary
from qam_torch.training.description import describe
from qam_torch.training.settings import read_settings
from qam_torch.types import Batch, QamError
from tests.helpers.docs_pages import blocks, files, write_files
from tests.helpers.runs import TINY, Command, one_sentence, unrecorded

Train = Callable[..., int]

PAGE = "add-a-method.md"
FILES = files(PAGE)
COMMANDS = "".join(text for language, text in blocks(PAGE) if language == "bash").splitlines()
(SCRIPT,) = [text for language, text in blocks(PAGE) if language == "python" and text not in FILES.values()]
BRIEF = ["offline_steps=20", "eval_episodes=1", "precision=float64"]
SMALL = [*(word for word in TINY if "flow_steps" not in word and "experiment" not in word), *BRIEF]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_directory: Path) -> Iterator[Path]:
    """The page's files in a directory of their own, which is the working directory; updates without recording."""
    write_files(PAGE, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    monkeypatch.setattr(summary, "save_plots", lambda *_: [])
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    yield tmp_path
    for name in {"awac", "my_package", "my_package.conf"} & sys.modules.keys():
        del sys.modules[name]


@pytest.fixture
def awac(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(project)
    return importlib.import_module("awac")


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def small(data_directory: Path, *words: str) -> list[str]:
    return [*words, *SMALL, f"data.directory={data_directory}", "logger=csv"]


# The page


def test_the_page_has_its_files_and_commands() -> None:
    assert list(FILES) == ["awac.py", "conf/algo/awac.yaml", "test_awac.py", "conf/algo/emaq.yaml"]
    programs = "qam-train qam-eval qam-train qam-train qam-bench pytest qam-train"
    assert [line.split()[0] for line in COMMANDS] == programs.split()
    code = FILES["awac.py"].partition("class AWAC")[2]
    assert len([line for line in code.splitlines() if line.strip() and '"""' not in line]) <= 25


@pytest.mark.slow
def test_the_pages_commands_and_script(
    train: Train, project: Path, data_directory: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    online = ["online_steps=20", "start_training=10", "data.fraction=1.0"]
    for line in COMMANDS:
        program, *words = shlex.split(line)
        if program == "qam-train":
            more = online if "experiment=finetune" in words else []
            assert train(*small(data_directory, *words, *more)) == 0, capsys.readouterr().err
        elif program == "qam-eval":
            assert evaluate_main([*words, "--episodes=1", "--workers=0"]) == 0, capsys.readouterr().err
            assert "awac.AWAC on pointmaze-medium-navigate-v0" in capsys.readouterr().out
        elif program == "qam-bench":
            assert bench_main([*words, "--updates", "1", "--repeats", "1"]) == 0, capsys.readouterr().err
            assert "\nawac       small " in capsys.readouterr().out
        else:
            tested = command("-m", program, *words, "-q", "-p", "no:cacheprovider", "-c", os.devnull, cwd=project)
            assert tested.returncode == 0 and "2 passed" in tested.stdout, tested.stdout + tested.stderr

    summaries = {path.parent.name: json.loads(path.read_text()) for path in project.glob("runs/*/summary.json")}
    assert {name: (run["algorithm"], len(run["seeds"])) for name, run in summaries.items()} == {
        "awac": ("awac", 2),
        "temperatures": ("awac", 4),
        "online": ("awac", 1),
        "emaq": ("emaq", 1),
    }
    assert summaries["online"]["online_steps"] == 20
    rows = list(csv.DictReader((project / "runs/awac/metrics.csv").open()))
    for name in ("actor/weight", "actor/likelihood_loss", "critic/loss"):
        assert len(rows) == 4 and all(math.isfinite(float(row[name])) for row in rows)

    alone = ["--config-dir", "conf", "algo=awac", "experiment=quickstart", "seed=3", "run_name=alone"]
    assert train(*small(data_directory, *alone)) == 0
    third, lone = (
        qam_torch.load_policy(f"runs/{run}/checkpoints/last.ckpt", member).algorithm.state_dict()
        for run, member in (("temperatures", 2), ("alone", 0))
    )
    assert third.keys() == lone.keys()
    for name, value in lone.items():
        torch.testing.assert_close(third[name], value, rtol=1e-9, atol=1e-11)

    scope: dict[str, Any] = {}
    exec(SCRIPT, scope)
    assert scope["policy"](scope["observation"]).shape == (2, 2)
    assert (scope["policy"].algorithm.seeds, scope["policy"].algorithm.member_value("inv_temp")) == ((3,), 10.0)
    assert (scope["config"].algo._target_, scope["config"].algo.horizon_length) == ("awac.AWAC", 5)


def test_the_pages_loss_by_hand(awac: ModuleType) -> None:
    """Q(s, a) = a_1 + a_2, V = Q(s, 0) = 0 and a standard normal before the tanh: nothing but numbers is left."""
    sizes = {"observation_dim": 1, "action_dim": 2, "horizon_length": 1, "num_qs": 1}
    algorithm = awac.AWAC(**sizes, inv_temp=2.0, actor_hidden_dims=(4,), value_hidden_dims=())
    for parameter in algorithm.networks.parameters():
        torch.nn.init.zeros_(parameter)
    (critic,) = [p for p in algorithm.network("critic").parameters() if p.numel() == 3]
    critic.data.copy_(torch.tensor([0.0, 1.0, 1.0]).view(critic.shape))
    x = torch.tensor([[[0.5, 0.1], [-0.3, 0.2], [9.0, 9.0]]])
    rows = torch.zeros(1, 3)
    batch = Batch(torch.zeros(1, 3, 1), x.tanh(), rows, rows + 1, torch.tensor([[1.0, 1.0, 0.0]]), torch.zeros(1, 3, 1))
    noise = {name: torch.zeros(1, *draw.shape) for name, draw in algorithm.draws(3).items()}
    term = algorithm.losses(batch, noise)[-1]

    def row(*raw: float) -> float:
        density = sum(-0.5 * r * r - 0.5 * math.log(2 * math.pi) - math.log(1 - math.tanh(r) ** 2) for r in raw)
        return math.exp(2 * sum(map(math.tanh, raw))) * density

    assert term.loss.item() == pytest.approx(-(row(0.5, 0.1) + row(-0.3, 0.2)) / 3, rel=1e-5)
    assert term.trains == ("actor",)
    weights = [math.exp(2 * (math.tanh(a) + math.tanh(b))) for a, b in ((0.5, 0.1), (-0.3, 0.2), (9, 9))]
    assert term.metrics()["actor/weight"].item() == pytest.approx(sum(weights) / 3, rel=1e-5)


# Finding it


def test_a_directory_of_ones_own_adds_to_every_group(project: Path) -> None:
    write("conf/experiment/brief.yaml", "# @package _global_\noffline_steps: 30\n")
    words = ["algo=awac", "experiment=brief"]
    config = compose(words, config_dir="conf")
    assert (config.offline_steps, config.algo._target_, config.algo.num_qs) == (30, "awac.AWAC", 10)
    assert config.run_dir == "runs/brief/pointmaze-medium-navigate-task1/awac/seed0"
    assert compose([*words, "hydra.searchpath=[file://conf]"]) == config
    for name in ("conf/__init__.py", "my_package/__init__.py"):
        write(name, "")
    (project / "conf").rename("my_package/conf")
    include_working_directory()
    assert compose([*words, "hydra.searchpath=[pkg://my_package.conf]"]) == config
    sweep = with_config_directory(["algo=glob(*a*c)"], "my_package/conf")
    assert [run[0] for run in jobs(sweep)] == [f"algo={name}" for name in ("awac", "dac", "fawac", "fbrac", "rebrac")]


@pytest.mark.parametrize("place", ["my 'own', conf", "a=b"])
def test_the_directory_may_have_any_name(project: Path, place: str) -> None:
    (project / "conf").rename(project / place)
    assert compose(["algo=awac"], config_dir=place).algo.inv_temp == 10


CONFIG = "defaults:\n  - base/actor_critic@_here_\n  - _self_\n\n"
MISTAKES = {
    "algo=awax": ("", "unknown algo 'awax': did you mean awac"),
    "algo.inv_tmp=3": ("", "unknown key 'algo.inv_tmp': did you mean algo.inv_temp?"),
    "algo.inv_temp=0": ("", "inv_temp=0 is out of range"),
    "algo.inv_temp=[1,2,3]": ("", "inv_temp=[1, 2, 3] is out of range"),
    "algo._target_=awac.ACAW": ("", "algo._target_=awac.ACAW cannot be found (module 'awac' has no attribute 'ACAW')"),
    "algo._target_=awac.Batch": ("", "algo._target_=awac.Batch is not a method: expected a subclass"),
    "hydra.searchpath=conf": ("", "hydra.searchpath=conf is not a list of directories"),
    "hydra.searchpath=[pkg://awax.conf]": ("", "no configs at 'awax.conf'"),
    "seed=1": (CONFIG + "inv_temp: 10", "algo._target_=None is out of range: expected the method's class"),
    "seed=2": (CONFIG + "_target_: awac.AWAC: 3", "cannot compose the configuration (mapping values are not allowed"),
    "seed=3": (CONFIG.replace("actor_critic", "acter"), "Could not load 'algo/base/acter'"),
    "seed=4": (CONFIG + "_target_: awac.AWAC\ninv_tmp: 3", "algo=awac has no option 'inv_tmp'"),
}


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_of_ones_own_is_reported_in_one_sentence(
    train: Train, project: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = MISTAKES[word]
    if text:
        write("conf/algo/awac.yaml", text)
    words = [word] if word.startswith("algo=") else ["algo=awac", word]
    assert train("--config-dir", "conf", *words, "data.path=nowhere.npz") == 1
    assert message in one_sentence(capsys.readouterr().err)
    assert not (project / "runs").exists()


def test_a_directory_that_is_not_there_or_hides_a_name_is_refused(project: Path) -> None:
    with pytest.raises(QamError, match="no configs at '.*/nowhere'"):
        compose(["algo=awac"], config_dir="nowhere")
    write("conf/algo/qam.yaml", "inv_temp: 3")
    with pytest.raises(QamError, match=r"algo=qam is in .*conf and in .*: rename yours"):
        compose(["algo=qam"], config_dir="conf")


def test_numbers_of_members_have_to_be_annotated(
    project: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    write("awac.py", FILES["awac.py"].replace("inv_temp: float | Sequence[float]", "inv_temp: Any"))
    assert train("--config-dir", "conf", "algo=awac", "seeds=[1,2]", "algo.inv_temp=[1,2]") == 1
    assert "which AWAC does not declare: annotate the argument" in one_sentence(capsys.readouterr().err)


def test_a_checkpoint_names_the_class_and_says_when_it_is_gone(
    awac: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"observation_dim": 3, "action_dim": 2, "seeds": [1, 2], "inv_temp": [1.0, 2.0]}
    arguments |= {"actor_hidden_dims": [4], "value_hidden_dims": [4]}
    algorithm = awac.AWAC(**arguments)
    section = {**describe(algorithm, arguments, {}, {}), "step": 1, "offline_steps": 1, "diverged": [None, None]}
    assert section["algorithm"] == "awac.AWAC"
    content = {"state_dict": algorithm.state_dict(), "divergence": algorithm.divergence.saved(), SECTION: section}
    torch.save(content, "awac.ckpt")
    assert qam_torch.load_policy("awac.ckpt", member=1).algorithm.member_value("inv_temp") == 2.0
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(project)])
    del sys.modules["awac"]
    with pytest.raises(QamError, match="the checkpoint's method awac.AWAC cannot be found .*: run the command in the"):
        qam_torch.load_policy("awac.ckpt")


@pytest.mark.usefixtures("awac")
def test_a_method_without_layer_widths_takes_all_threads() -> None:
    method = read_settings(compose(["algo=awac", "experiment=default"], config_dir="conf")).method
    narrow = {name: value for name, value in method.options.items() if not name.endswith("hidden_dims")}
    assert not one_is_enough(method._replace(options=narrow).hidden_widths, rows=1)
