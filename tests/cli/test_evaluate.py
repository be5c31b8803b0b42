"""`qam-eval` measures a checkpoint, films it, and reports errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qam_torch.cli.evaluate import main
from qam_torch.envs.renderer import choose_renderer
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError
from tests.helpers.runs import one_sentence

pytestmark = pytest.mark.usefixtures("short_episodes")


def ckpt(result: RunResult) -> str:
    return f"{result.directory}/checkpoints/last.ckpt"


def test_it_measures_every_member(population: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [ckpt(population), "--episodes", "2", "--workers=0", f"--json={tmp_path}/out/result.json"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "QAM on pointmaze-medium-navigate-v0, task 1, update 40" in out
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["1", "2", "3"]
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["seeds"] == [1, 2, 3] and result["episodes"] == 2
    for name in ("success", "return", "length", "success_95"):
        assert len(result[name]) == 3


MISTAKES = {
    "--episods=3": "unrecognized arguments: --episods=3, did you mean --episodes: see `qam-eval --help`",
    "--episodes=0": "--episodes=0 is out of range",
    "--episodes=many": "argument --episodes: invalid int value: 'many'",
    "--seed=-1": "--seed=-1 is out of range",
    "--member=7": "--member 7 is not in the checkpoint: expected 0 to 0",
    "--member=x": "--member x is not an address",
    "--member=seed=9": "got seed=9, which no member has",
    "--workers=-1": "--workers=-1 is out of range",
    "--policy=other": "argument --policy: invalid choice: 'other' (choose from 'policy', 'behavior')",
    "--metrics=nowhere.metric": "--metrics=nowhere.metric cannot be found (ModuleNotFoundError: No module named",
    "--device=tpu": "--device tpu cannot be used here",
    "--video=film.avi": "--video=film.avi is out of range: expected a name that ends in .mp4 or .gif",
    "--execute-steps=3": "--execute-steps 3 is out of range: expected an integer from 1 to 2, the steps of a chunk",
    "--video-episodes=0": "--video-episodes=0 is out of range",
    "again.ckpt": "unrecognized arguments: again.ckpt",
}


@pytest.mark.parametrize(("word", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_a_mistake_is_one_sentence(
    word: str, message: str, finished: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([ckpt(finished), "--workers=0", "--episodes=1", word]) == 1
    assert message in one_sentence(capsys.readouterr().err, "qam-eval")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_where_none_is(finished: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ckpt(finished), "--device=cuda"]) == 1
    assert "--device cuda cannot be used here" in one_sentence(capsys.readouterr().err, "qam-eval")


def test_output_that_cannot_be_written_is_reported_first(
    finished: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for option in ("json", "video"):
        name = "x.json" if option == "json" else "x.mp4"
        assert main([ckpt(finished), f"--{option}={tmp_path}/file/{name}"]) == 1
        captured = capsys.readouterr()
        assert f"give another with --{option}" in one_sentence(captured.err, "qam-eval")
        assert captured.out == ""


def test_help_and_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "CKPT" in capsys.readouterr().out
    for words in ([], ["--episodes", "3"]):
        assert main(words) == 1
        message = "the following arguments are required: CKPT: see `qam-eval --help`"
        assert message in one_sentence(capsys.readouterr().err, "qam-eval")
    assert main(["nowhere.ckpt"]) == 1
    assert "no checkpoint at 'nowhere.ckpt'" in one_sentence(capsys.readouterr().err, "qam-eval")


FORMER = {
    "ckpt=a.ckpt": "qam-eval a.ckpt",
    "ckpt=a.ckpt episodes=100 video=x.mp4 json=null": "qam-eval a.ckpt --episodes 100 --video x.mp4",
    "ckpt=a.ckpt member=seed=2,inv_temp=3 video_episodes=3": "a.ckpt --member seed=2,inv_temp=3 --video-episodes 3",
    "a.ckpt workers=0": "qam-eval a.ckpt --workers 0",
    "--seed 3 episodes=1": "qam-eval CKPT --seed 3 --episodes 1",
}


@pytest.mark.parametrize("words", list(FORMER))
def test_key_value_words_are_answered_with_the_present_form(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 1
    assert FORMER[words] in one_sentence(capsys.readouterr().err, "qam-eval")


@pytest.fixture
def edited(finished: RunResult, tmp_path: Path) -> Callable[..., str]:
    """edited(change) -> path of a checkpoint whose content was changed by a function."""

    def make(change: Callable[[dict[str, Any]], Any]) -> str:
        content = torch.load(finished.directory / "checkpoints" / "last.ckpt", weights_only=True)
        change(content)
        torch.save(content, tmp_path / "edited.ckpt")
        return f"{tmp_path}/edited.ckpt"

    return make


def test_checkpoints_that_do_not_fit(edited: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    changes: dict[str, Callable[[dict[str, Any]], Any]] = {
        "has checkpoint format 1000, written by qam_torch": lambda c: c["qam_torch"].update(format=1000),
        "is not a checkpoint of qam_torch": lambda c: c.pop("qam_torch"),
        "was written by an earlier qam_torch (0": lambda c: c["qam_torch"].pop("format"),
        "the checkpoint's method SAC cannot be found": lambda c: c["qam_torch"].update(algorithm="SAC"),
        "do not fit its own settings": lambda c: c["qam_torch"]["arguments"].update(actor_hidden_dims=[7, 7]),
        "parameters do not fit": lambda c: c["state_dict"].popitem(),
    }
    for message, change in changes.items():
        assert main([edited(change), "--workers=0", "--episodes=1"]) == 1
        assert message in one_sentence(capsys.readouterr().err, "qam-eval")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_it_films_episodes(suffix: str, finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        choose_renderer()
    except QamError as error:
        pytest.skip(f"nothing renders here: {error}")
    from qam_torch.rollout import video

    whole = video.render_episodes
    monkeypatch.setattr(video, "render_episodes", lambda *a, **k: whole(*a, **k, max_steps=20, every=4))
    film = tmp_path / f"film.{suffix}"
    assert main([ckpt(finished), "--workers=0", "--episodes=1", f"--video={film}", "--video-episodes", "1"]) == 0
    content = film.read_bytes()
    assert content[:3] == b"GIF" if suffix == "gif" else content[4:8] == b"ftyp"
    assert len(content) > 1000
