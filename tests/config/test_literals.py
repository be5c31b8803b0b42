"""Paths and names of a user's are taken literally, whatever characters are in them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import qam_torch.run
from qam_torch.cli import train as command
from qam_torch.config.command_line import parse_command_line
from qam_torch.config.composition import compose
from qam_torch.config.literals import unquoted, with_literals
from qam_torch.config.overrides import jobs
from qam_torch.types import QamError

NAMES = [
    "a b.npz", "run=1.npz", "josé/d.npz", "数据.npz", "exp #2.npz", "R&D.npz", "d~.npz", "d;1.npz", "it's.npz",
    "d(1).npz", "wow!.npz", "d+1,2.npz", "C:\\x\\y.npz", "'half.npz", "$x.npz", "{a: b}.npz", "choice(a,b).npz", "2024",
    "true", "runs/x/algo.inv_temp=3,seeds=[1,2]/seed0/last.ckpt",
]  # fmt: skip
KEYS = ("data.path", "init_from", "data.directory", "run_name")


@pytest.mark.parametrize("names", [NAMES[first : first + 4] for first in range(0, len(NAMES), 4)], ids="-".join)
def test_names_are_taken_as_they_stand(names: list[str]) -> None:
    config = compose([f"{key}={name}" for key, name in zip(KEYS, names, strict=True)])
    assert [OmegaConf.select(config, key) for key in KEYS] == names


def test_a_runs_directory_does_not_depend_on_how_a_name_is_passed_on() -> None:
    words = ["data.path=it's a=b, 2.npz", "algo=qam"]
    config = compose(words)
    assert compose(jobs(with_literals(words))[0]) == config  # as a sweep passes a run's words on
    assert Path(config.run_dir).parts[-2] == "data.path=its a=b, 2.npz"


text = st.text(st.sampled_from("ab'\\\"=,(){}[]:~#;! $&é"), min_size=1, max_size=8)


@given(text.filter(lambda name: name[0] not in "'\""))
def test_quoting_is_undone_by_hydra_and_for_messages(name: str) -> None:
    (word,) = with_literals([f"path={name}"])
    override = OverridesParser.create().parse_override(word)
    assert override.value() == name and unquoted(word) == f"path={name}"
    written = f"path={override.get_value_element_as_str()}"  # as Hydra writes it for a run of a sweep
    assert OverridesParser.create().parse_override(written).value() == name
    assert with_literals([word]) == [word], "what is quoted stays as it is"


def test_null_interpolations_and_quotes_keep_their_meaning() -> None:
    assert compose(["data.path=null", "seed=1"]).data.path is None
    assert compose(["runs_root=/r", "run_dir=${runs_root}/a=b (1)"]).run_dir == "/r/a=b (1)"
    assert compose(["data.path='a=b.npz'", "seed=1"]).data.path == "a=b.npz"
    assert with_literals(["algo.lr=3", "path=", "~path", "seeds=[1,2]"]) == [
        "algo.lr=3",
        "path=",
        "~path",
        "seeds=[1,2]",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("lr=1.npz,lr=2.npz", ["path=lr=1.npz", "path=lr=2.npz"]),
        ("a b.npz, 'c,d.npz'", ["path=a b.npz", "path=c,d.npz"]),
        ("it's.npz,d(1).npz", ["path=it's.npz", "path=d(1).npz"]),
        ("null,x.npz", ["path=null", "path=x.npz"]),
        ("${joined_path:a,b}/c.npz,d.npz", ["path=${joined_path:a,b}/c.npz", "path=d.npz"]),
        ("one.npz", ["path=one.npz"]),
    ],
)
def test_in_a_sweep_commas_separate_runs(value: str, expected: list[str]) -> None:
    assert [unquoted(run[0]) for run in jobs(with_literals([f"path={value}"], sweep=True))] == expected


def test_messages_of_a_sweep_show_names_as_they_were_written() -> None:
    sweep = ["-m", "data.path=lr=1.npz,lr=2.npz", "run_dir=same"]
    with pytest.raises(QamError, match="runs 'data.path=lr=1.npz' and 'data.path=lr=2.npz' have the same"):
        parse_command_line(sweep, lambda config: None)


def test_paths_are_relative_to_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Any
) -> None:
    """Whatever Hydra makes the working directory of the run."""
    seen = []

    def fit(config: Any) -> SimpleNamespace:
        seen.append((Path.cwd(), config.runs_root))
        return SimpleNamespace()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(qam_torch.run, "fit", fit)
    monkeypatch.setattr(command, "_check", lambda config: None)
    assert train("seed=1", "runs_root=my runs", "hydra.job.chdir=true", "hydra.run.dir=elsewhere") == 0
    assert seen == [(tmp_path, "my runs")]
