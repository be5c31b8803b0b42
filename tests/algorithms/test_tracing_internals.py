"""The private parts of torch's tracing that algorithms/core/tracing_internals.py uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph

from qam_torch.algorithms.core.recording import record

MOVED = "torch's tracing has changed: adapt qam_torch/algorithms/core/tracing_internals.py, or remove it"


def recorded_and_called() -> None:
    run = record(lambda x: [(x + 1).sin() * (x - 1).cos()], [torch.ones(3)])
    torch.testing.assert_close(run(torch.zeros(3))[0], torch.full((3,), 0.84147 * 0.54030), rtol=1e-4, atol=0)


def test_a_recording_makes_no_fake_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    made, init = [], FakeTensorMode.__init__

    def counted(mode: FakeTensorMode, *arguments: Any, **options: Any) -> None:
        made.append(mode)
        init(mode, *arguments, **options)

    monkeypatch.setattr(FakeTensorMode, "__init__", counted)
    recorded_and_called()
    assert not made, MOVED


def test_code_is_generated_once_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, code = [], Graph.python_code

    def counted(graph: Graph, *arguments: Any, **options: Any) -> Any:
        generated.append(graph)
        return code(graph, *arguments, **options)

    monkeypatch.setattr(Graph, "python_code", counted)
    recorded_and_called()
    assert len(generated) == 1, MOVED
