"""The private parts of torch's Adam that algorithms/core/adam_internals.py uses."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qam_torch.algorithms.core.adam_internals import adam_state, fused_adam_step, silence_capturable_warning

MOVED = "torch's Adam has changed: adapt qam_torch/algorithms/core/adam_internals.py, or pin an earlier torch"


def test_a_step_equals_adams() -> None:
    values, gradient = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])
    ours, theirs = nn.Parameter(values.clone()), nn.Parameter(values.clone())
    optimizers = [torch.optim.Adam([p], lr=0.1, fused=True) for p in (ours, theirs)]
    ours.grad, theirs.grad = gradient.clone(), gradient.clone()
    optimizers[1].step()
    try:
        (group,) = optimizers[0].param_groups
        parameters, averages, squares = adam_state(optimizers[0], group)
        steps = [optimizers[0].state[ours]["step"]]
        torch._foreach_add_(steps, 1)
        with torch.no_grad():
            fused_adam_step(
                parameters, [ours.grad], averages, squares, steps,
                lr=0.1, betas=group["betas"], eps=group["eps"], skipped=None,
            )  # fmt: skip
    except (AttributeError, TypeError) as error:
        pytest.fail(f"{MOVED} ({error})")
    assert torch.equal(ours, theirs), MOVED


def test_a_skipped_parameter_keeps_its_value() -> None:
    parameter = nn.Parameter(torch.ones(1, 2))
    optimizer = torch.optim.Adam([parameter], lr=0.1, fused=True)
    parameter.grad = torch.ones(1, 2)
    (group,) = optimizer.param_groups
    parameters, averages, squares = adam_state(optimizer, group)
    steps = [optimizer.state[parameter]["step"]]
    torch._foreach_add_(steps, 1)
    with torch.no_grad():
        fused_adam_step(
            parameters, [parameter.grad], averages, squares, steps,
            lr=0.1, betas=group["betas"], eps=group["eps"], skipped=torch.ones(1),
        )  # fmt: skip
    assert torch.equal(parameter, torch.ones(1, 2)) and not averages[0].any(), MOVED


def test_steps_before_a_capture_raise_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, outside of a capture."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda: SimpleNamespace(is_capturing=lambda: False))
    for name, value in (("is_available", True), ("is_current_stream_capturing", False)):  # asked by torch 2.8
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    parameter = nn.Parameter(torch.ones(1, 2))
    parameter.grad = torch.ones(1, 2)
    optimizer = torch.optim.Adam([parameter], fused=True, capturable=True)
    silence_capturable_warning(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    with pytest.warns(UserWarning, match="without CUDA graph capture"):
        del optimizer._warned_capturable_if_run_uncaptured  # type: ignore[attr-defined]
        optimizer.step()
