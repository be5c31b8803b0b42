"""Which device a run takes."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.accelerators.mps import MPSAccelerator

from qam_torch.training.trainer import build_trainer
from qam_torch.types import QamError


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one of Apple's GPUs, which have no float64, and no other."""
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_mac_trains_on_its_cpu(mac: None) -> None:
    assert build_trainer("auto", 1).strategy.root_device == torch.device("cpu")


def test_a_gpu_is_one_with_cuda(mac: None) -> None:
    with pytest.raises(QamError, match="trainer.accelerator=gpu cannot be used here .*: try trainer=auto"):
        build_trainer("gpu", 1)
