"""The memory that a run is said to need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.training.memory import PROGRAM, announce_memory, needed_memory, storage_bytes
from qam_torch.training.online import Replay
from qam_torch.training.schedule import Schedule

CHUNK, STATES, ACTIONS, STEPS = 3, 4, 2, 50


@pytest.fixture
def parts() -> dict[str, Any]:
    rows = torch.arange(STEPS)
    transitions = Transitions(
        torch.randn(STEPS + 1, STATES), rows, rows + 1, torch.zeros(STEPS, ACTIONS), torch.zeros(STEPS),
        torch.ones(STEPS), rows == STEPS - 1,
    )  # fmt: skip
    windows = ChunkWindows(transitions, CHUNK, 0.9)
    networks, targets = torch.nn.Linear(9, 10, bias=False), torch.nn.Linear(9, 2, bias=False)
    return {
        "module": SimpleNamespace(sampler=SimpleNamespace(windows=windows), rotation=None),
        "algorithm": SimpleNamespace(networks=networks, targets=targets, members=2, horizon_length=CHUNK),
        "pool": SimpleNamespace(memory=lambda: 0, count=5, environment_bytes=1000),
        "schedule": Schedule(10, 0, 1, 1, 1, 1, 10, 10, 10),
        "replay": Replay(20, "append"),
    }


def test_each_part(parts: dict[str, Any]) -> None:
    needed = needed_memory(**parts)
    assert needed["networks, gradients and optimizer"] == 4 * (4 * 90) + 4 * 18
    assert needed["environments"] == 5000
    assert needed["replay buffer"] == 0 and needed["program"] == PROGRAM
    least = 4 * ((STEPS + 1) * STATES + STEPS * (ACTIONS + 2)) + 2 * 8 * STEPS + STEPS
    assert least < needed["data"] < 3 * least

    parts["module"].rotation = object()
    assert needed_memory(**parts)["data"] == 2 * needed["data"]
    parts["pool"].memory = lambda: 7
    assert needed_memory(**parts)["environments"] == 7


def test_the_replay_buffer_and_the_environments_of_the_online_phase(parts: dict[str, Any]) -> None:
    parts["schedule"] = Schedule(10, 1000, 1, 5, 1, 1, 10, 10, 10)
    needed = needed_memory(**parts)
    rows = 2 * 5 * (20 // 5 + CHUNK - 1) + 2 * (CHUNK - 1)
    assert needed["replay buffer"] == rows * (4 * (2 * STATES + ACTIONS + 3) + 16)
    assert needed["environments"] == 5000 + 2 * 5 * 1000


def test_shared_storage_counts_once() -> None:
    one = torch.zeros(10)
    assert storage_bytes([one, one[:5], one.view(2, 5)]) == 40


def test_only_much_memory_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    announce_memory({"data": 3_000_000_000, "program": 600_000_000})
    assert capsys.readouterr().out == ""
    announce_memory({"data": 3_500_000_000, "replay buffer": 0, "environments": 900_000_000})
    assert capsys.readouterr().out == "memory: about 4.4 GB (data 3.5 GB, environments 900.0 MB)\n"
