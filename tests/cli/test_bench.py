"""`qam-bench`: its figures agree with one another, and bad input is one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from qam_torch.bench import benchmark
from qam_torch.bench.workload import Workload, method_names
from qam_torch.cli.bench import main
from qam_torch.types import QamError

SMALL_FLAGS = (
    "--observation-dim 3 --action-dim 2 --horizon-length 2 --hidden 8 8 --num-qs 2 --batch-size 4 --flow-steps 2"
)


FIGURES = (
    "ms_per_update",
    "best_ms_per_update",
    "updates_per_s",
    "member_updates_per_s",
    "gflop_per_update",
    "gflop_per_s",
    "first_update_s",
    "first_update_with_metrics_s",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get in one another's way at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fake_peaks(monkeypatch: pytest.MonkeyPatch, *peaks: float) -> None:
    rates = iter(peaks)
    monkeypatch.setattr(benchmark, "matrix_peak", lambda *_: next(rates))


@pytest.mark.slow
def test_figures_agree_with_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_peaks(monkeypatch, 50e9, 200e9, 100e9)
    path = tmp_path / "bench.json"
    torch.set_num_threads(2)
    flags = f"--size small --population 1 3 --updates 3 --repeats 2 --threads 1 --parts --json {path} {SMALL_FLAGS}"
    assert main(flags.split()) == 0
    assert torch.get_num_threads() == 2  # as it was
    found = json.loads(path.read_text())
    assert found["command"] == f"qam-bench {flags}"
    assert found["machine"]["threads"] == 1 and found["machine"]["torch"] == torch.__version__
    one, three = found["results"]
    assert three["gflop_per_update"] == pytest.approx(3 * one["gflop_per_update"])
    for result, peak in ((one, 200), (three, 200)):
        seconds = result["ms_per_update"] / 1e3
        assert result["updates_per_s"] == pytest.approx(1 / seconds)
        assert result["member_updates_per_s"] == pytest.approx(result["population"] / seconds)
        assert result["gflop_per_s"] == pytest.approx(result["gflop_per_update"] / seconds)
        assert result["share_of_peak"] == pytest.approx(result["gflop_per_s"] / peak)
        assert result["best_ms_per_update"] == min(result["blocks_ms_per_update"]) <= result["ms_per_update"]
        assert len(result["blocks_ms_per_update"]) == 2
        assert result["size"]["hidden"] == [8, 8]
        assert sum(part["gflop"] for part in result["parts"].values()) == pytest.approx(result["gflop_per_update"])
    printed = capsys.readouterr().out
    assert printed.count("small*") == 2 and "lean adjoint" in printed


@pytest.mark.slow
def test_every_method_has_a_row_with_what_its_config_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {}

    def measured(workload: Workload, updates: int | None, repeats: int, *_: object) -> dict[str, Any]:
        seen[len(seen)] = workload.algorithm
        return dict.fromkeys(FIGURES, 1.0)

    monkeypatch.setattr(benchmark, "measure", measured)
    fake_peaks(monkeypatch, *[1e12] * 99)
    assert main(["--algo", "qam,all", "--size", "medium", *SMALL_FLAGS.split()]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:-2]]
    assert names == ["qam", *(name for name in method_names() if name != "qam")]
    built = dict(zip(names, seen.values(), strict=True))
    assert (built["ifql"].best_of_n, built["qam"].best_of_n, built["qsm"].diffusion_steps) == (32, 1, 10)
    assert (
        built["qam"].flow_steps == 2 and built["dsrl"].networks["critic"].num_qs == 2 and built["rlpd"].chunk_dim == 4
    )


@pytest.mark.slow
def test_a_method_of_ones_own_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_peaks(monkeypatch, *[1e12] * 9)
    (tmp_path / "conf" / "algo").mkdir(parents=True)
    (tmp_path / "conf" / "algo" / "mine.yaml").write_text("defaults: [rebrac, _self_]\n_target_: own_rebrac.Mine\n")
    (tmp_path / "own_rebrac.py").write_text("from qam_torch.algorithms import ReBRAC\nclass Mine(ReBRAC): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    flags = f"--config-dir conf --size small --updates 2 --repeats 1 --parts {SMALL_FLAGS}".split()
    assert main([*flags, "--algo", "mine"]) == 0
    printed = capsys.readouterr().out
    assert "\nmine       small*" in printed and "actor/squared_distance" in printed
    assert main([*flags, "--algo", "yours"]) == 1
    assert "mine" in capsys.readouterr().err


def test_precision_is_that_of_the_update_and_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def peak(device: torch.device, dtype: torch.dtype, *_: object) -> float:
        seen.append(dtype)
        return 1e12

    def measured(workload: Workload, updates: int | None, repeats: int, *_: object) -> dict[str, Any]:
        seen.append(workload.algorithm.mixed_precision)
        return dict.fromkeys(FIGURES, 1.0)

    monkeypatch.setattr(benchmark, "matrix_peak", peak)
    monkeypatch.setattr(benchmark, "measure", measured)
    for precision in ("float32", "bf16-mixed"):
        assert main(["--size", "small", *SMALL_FLAGS.split(), "--precision", precision]) == 0
    assert seen == [torch.float32, False, torch.float32, torch.bfloat16, True, torch.bfloat16]


@pytest.mark.slow
def test_eager_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []

    def measured(workload: Workload, updates: int | None, repeats: int, *_: object) -> dict[str, Any]:
        workload.run(1)
        seen.append((workload.algorithm.recorded, len(workload.algorithm.recordings)))
        raise QamError("enough")

    monkeypatch.setattr(benchmark, "measure", measured)
    for flags in ([], ["--eager"]):
        fake_peaks(monkeypatch, 1e12)
        assert main(["--size", "small", *SMALL_FLAGS.split(), *flags]) == 1
    assert seen == [(True, 1), (False, 0)]


def test_capture_is_the_key_of_training(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bool | str] = []

    def measured(workload: Workload, updates: int | None, repeats: int, *_: object) -> dict[str, Any]:
        seen.append(workload.algorithm.capture)
        return dict.fromkeys(FIGURES, 1.0)

    monkeypatch.setattr(benchmark, "measure", measured)
    for flags, status in (([], 0), (["--capture", "false"], 0), (["--capture", "true"], 1)):
        fake_peaks(monkeypatch, 1e12, 1e12)
        assert main(["--size", "small", *SMALL_FLAGS.split(), *flags]) == status
    assert seen == ["auto", False]
    assert "capture=true needs a GPU with CUDA" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--algo qam,qam_g", "unknown --algo 'qam_g': expected one of bam, cgql, "),
        ("--algo ,", "argument --algo: expected at least one value"),
        ("--size papper", "unknown --size 'papper': expected one of small, medium, paper"),
        ("--hidden 16 0", "--hidden=[16, 0] is out of range"),
        ("--population 0", "--population=[0] is out of range"),
        ("--flow-steps 0", "--flow-steps=0 is out of range"),
        ("--batch-size many", "invalid int value: 'many'"),
        ("--updates -3", "--updates"),
        ("--updates 0", "--updates=0 is out of range"),
        ("--threads 0", "--threads=0 is out of range"),
        ("--precision half", "unknown --precision 'half': expected one of float32, bf16-mixed"),
        ("--capture maybe", "unknown --capture 'maybe': expected one of auto, true, false"),
        ("--clock sun", "unknown --clock 'sun': expected one of wall, cpu"),
        ("--clock cpu", "--clock cpu measures one thread on the CPU: give --threads 1"),
        ("--device tpu", "unknown --device 'tpu': expected one of cpu, cuda"),
        ("--json /nowhere/at/all.json", "/nowhere/at/all.json cannot be written"),
        ("--wrong", "unrecognized arguments: --wrong"),
        ("--preset small", "unrecognized arguments: --preset small, did you mean --size: see `qam-bench --help`"),
        ("--population 1,x", "argument --population: invalid value '1,x'"),
    ],
)
def test_bad_input_is_one_sentence(
    flags: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_peaks(monkeypatch)  # nothing is measured: asking for the peak would fail
    assert main(flags.split()) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda"]) == 1
    assert "use --device cpu" in capsys.readouterr().err
