"""versions.json names the device of the run, and no other."""

from __future__ import annotations

import platform

import pytest
import torch

from qam_torch.rundir.versions import versions


def test_a_run_on_the_cpu_does_not_touch_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> str:
        raise AssertionError("the GPU was asked")

    for name in ("is_available", "get_device_name", "current_device"):
        monkeypatch.setattr(torch.cuda, name, touched)
    assert versions(torch.device("cpu"))["device"] == (platform.processor() or "cpu")


def test_a_run_on_a_gpu_names_the_one_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"number {device.index}")
    assert versions(torch.device("cuda", 1))["device"] == "number 1"
