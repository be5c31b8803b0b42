"""TensorFloat-32 is on while a GPU computes in float32, in every command, and off again afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.bench import benchmark, measure
from qam_torch.cli.bench import main as bench
from qam_torch.inference import evaluate
from qam_torch.inference.matrix_precision import matrix_precision
from qam_torch.training import fit
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError

GPU = torch.device("cuda", 0)


class Seen:
    """Notes the precision where a command computes something, and ends it there."""

    def __init__(self) -> None:
        self.precisions: list[str] = []

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.precisions.append(torch.get_float32_matmul_precision())
        raise QamError("enough")


@pytest.fixture
def seen() -> Seen:
    assert torch.get_float32_matmul_precision() == "highest"
    return Seen()


def test_only_for_float32_on_a_gpu(seen: Seen) -> None:
    cases = ((GPU, torch.float32), (GPU, torch.float64), (torch.device("cpu"), torch.float32))
    for device, dtype in cases:
        with pytest.raises(QamError), matrix_precision(device, dtype):
            seen()
        assert torch.get_float32_matmul_precision() == "highest"
    assert seen.precisions == ["high", "highest", "highest"]


def test_training(seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=GPU))
    monkeypatch.setattr(fit, "build_trainer", lambda *_: trainer)
    monkeypatch.setattr(fit, "load_data", seen)
    with pytest.raises(QamError, match="enough"):
        qam_torch.fit(qam_torch.compose(tiny(tmp_path / "run")))
    assert seen.precisions == ["high"] and torch.get_float32_matmul_precision() == "highest"


def test_evaluation(seen: Seen, finished: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Algorithm, "device", property(lambda algorithm: GPU))
    monkeypatch.setattr(evaluate, "evaluate_members", seen)
    with pytest.raises(QamError, match="enough"):
        qam_torch.evaluate(finished.directory / "checkpoints" / "last.ckpt", episodes=1, workers=0)
    assert seen.precisions == ["high"] and torch.get_float32_matmul_precision() == "highest"


def test_benchmark_machine_and_peak_too(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    machine: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    about = measure.machine_info

    def noted(device: torch.device) -> dict[str, Any]:
        found = about(device)
        machine.append(found["float32_matmul_precision"])
        return found

    monkeypatch.setattr(measure, "machine_info", noted)
    monkeypatch.setattr(benchmark, "matrix_peak", seen)
    assert bench(["--device", "cuda", "--size", "small"]) == 1
    assert seen.precisions == machine == ["high"] and torch.get_float32_matmul_precision() == "highest"
