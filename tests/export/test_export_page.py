"""docs/export.md as written, and `qam-export`."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from qam_torch.algorithms import QAM
from qam_torch.cli.export import FORMATS as CHOICES
from qam_torch.cli.export import main
from qam_torch.export import FORMATS
from tests.export.test_export_policy import checkpoint_of, metadata
from tests.helpers.docs_pages import blocks
from tests.helpers.runs import ROOT, Command, one_sentence

ALONE = """
import sys

loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"qam_torch", "torch", "onnx", "lightning"}))
"""


@pytest.mark.slow
def test_the_page_acts_without_qam_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    (_, export), (_, act) = blocks("export.md")[:2]
    monkeypatch.chdir(tmp_path)
    for run in ("pendulum", "population"):
        (tmp_path / "runs" / run / "checkpoints").mkdir(parents=True)
    checkpoint_of(Path("runs/pendulum/checkpoints/last.ckpt"), QAM, seeds=[5])
    checkpoint_of(Path("runs/population/checkpoints/last.ckpt"), QAM, seeds=[1, 2], inv_temp=[1.0, 3.0])
    for line in export.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "qam-export" and main(words) == 0
    left = {str(path) for path in Path().rglob("*") if path.is_file() and path.suffix != ".ckpt"}
    assert left == {
        "policy.pt2",
        "runs/pendulum/checkpoints/last.onnx",
        "runs/pendulum/checkpoints/last.safetensors",
        "runs/population/checkpoints/last.seed=2,inv_temp=3.onnx",
    }
    (tmp_path / "act.py").write_text(act + ALONE)
    done = command("act.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    message, loaded = done.stdout.splitlines()
    assert message.startswith("return -") and loaded == "", "nothing but onnxruntime, numpy and gymnasium"


@pytest.mark.slow
def test_the_latency_of_a_policy_is_printed(tmp_path: Path, command: Command) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM, seeds=[5])
    done = command("scripts/export_latency.py", str(path), "--rounds", "2", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    heading, _, *rows = done.stdout.splitlines()[2:]
    assert heading == "| observations | load_policy | recorded | pt2 | onnx |"
    assert [row.split("|")[1].strip() for row in rows] == ["1", "64"]
    assert all(float(cell) > 0 for row in rows for cell in row.split("|")[2:-1])


MISTAKES = {
    "--format=tflite": "argument --format: invalid choice: 'tflite' (choose from 'pt2', 'onnx', 'safetensors')",
    "--member=9": "--member 9 is not in the checkpoint: expected 0 to 1",
    "--outptu=x": "unrecognized arguments: --outptu=x, did you mean --output",
}


@pytest.mark.parametrize(("word", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_a_mistake_is_one_sentence(word: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM)
    assert main([str(path), "--format", "pt2", word]) == 1
    assert message in one_sentence(capsys.readouterr().err, "qam-export")


def test_a_directory_without_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert f"no checkpoint at '{tmp_path}/checkpoints/last.ckpt'" in one_sentence(capsys.readouterr().err, "qam-export")


def test_the_command_offers_every_format() -> None:
    assert tuple(FORMATS) == CHOICES


@pytest.mark.slow
def test_the_files_of_both_programs_say_the_same(tmp_path: Path) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM, seeds=[5])
    assert main([str(path), "--format=onnx"]) == main([str(path), "--format=pt2"]) == 0
    one, other = (metadata(path.with_suffix(suffix)) for suffix in (".onnx", ".pt2"))
    packages = one["provenance"]["exported_with"]
    assert {packages.pop(name) for name in ("onnx", "onnxscript")} and one == other
