"""The rewrites for a GPU, made on a CPU: the same update to rounding, by fewer operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from qam_torch.algorithms import Algorithm, qam
from qam_torch.algorithms.core import fast_update, member_adam, recording
from qam_torch.algorithms.core.cuda_graph import UpdateResult
from qam_torch.algorithms.core.gpu_passes import GPU_PASSES, fuse_activations
from qam_torch.algorithms.core.member_adam import member_norms, scale_members
from qam_torch.algorithms.core.recording import record
from qam_torch.networks import mlp
from qam_torch.objectives import matching_targets
from qam_torch.types import Batch
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make, make_batch, make_noise


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


class GpuGelu:
    """In place of the activation on a CPU."""

    @staticmethod
    def apply(x: Tensor) -> tuple[Tensor]:
        return (gelu(x),)


# On a CPU the fused operation is another function, GELU with erf.
ON_A_CPU = [rewrite for rewrite in GPU_PASSES if rewrite is not fuse_activations]


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done on a GPU and can be done on a CPU."""
    monkeypatch.setattr(mlp, "_SigmoidGelu", GpuGelu)
    monkeypatch.setattr(
        qam, "matching_targets", lambda *given, **own: matching_targets(*given, **own | {"batched_nodes": True})
    )
    finished = recording._finish

    def rewritten(module: fx.GraphModule, _: object = (), outputs: Sequence[int] | None = None) -> fx.GraphModule:
        return finished(module, ON_A_CPU, outputs)

    monkeypatch.setattr(recording, "_finish", rewritten)


def operations(recorded: fx.GraphModule) -> list[str]:
    calls = [node.target for node in recorded.graph.nodes if node.op == "call_function"]
    return [getattr(target, "__name__", str(target)) for target in calls]


def train(algorithm: Algorithm, members: int) -> dict[str, Tensor]:
    noise = make_noise(algorithm, 3)
    for u in range(3):
        algorithm.update(make_batch(members, seed=u), {name: draw[u] for name, draw in noise.items()})
    assert bool(algorithm.recordings) == algorithm.recorded  # else recording has failed
    return algorithm.state_dict()


FAST = ("QAM", "DSRL")


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        *((name, seeds) for name in FAST for seeds in ((0,), (0, 1))),
        *(pytest.param(name, (0, 1), marks=pytest.mark.slow) for name in EVERY_METHOD if name not in FAST),
    ],
)
def test_an_update_is_the_same_to_rounding(name: str, seeds: tuple[int, ...], as_on_a_gpu: None) -> None:
    plain = make(kind_of(name), seeds)
    plain.recorded = False
    recorded = make(kind_of(name), seeds)
    given, rewritten = train(plain, len(seeds)), train(recorded, len(seeds))
    assert recorded.recordings and not plain.recordings
    for key, value in given.items():
        torch.testing.assert_close(rewritten[key], value, rtol=1e-9, atol=1e-11, msg=key)


def recorded_for_a_gpu(function: Callable[..., list[Tensor]], *example: Tensor) -> list[str]:
    """Names of the operations; their results are those of the function, except for the fused activation."""
    recorded = record(function, example)
    for mine, plain in zip(recorded(*example), function(*example), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-12, atol=1e-12)
    return operations(recorded)


def test_steps_of_a_flow_are_joined_where_neither_waits_for_the_other(as_on_a_gpu: None) -> None:
    kernel, kernel_t, out = (torch.nn.Parameter(torch.randn(*shape).double()) for shape in ((2, 8), (1, 8), (8, 2)))
    bias = torch.nn.Parameter(torch.randn(2).double())

    def velocity(hidden: Tensor, x: Tensor, t: float) -> Tensor:
        with torch.no_grad():
            return torch.addmm(bias, gelu(torch.addmm(torch.add(hidden, kernel_t, alpha=t), x, kernel)), out)

    def two_chains(hidden: Tensor, other: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
        for i in range(3):
            x = x + velocity(hidden, x, i * 0.1)
        for i in range(4):
            y = y + velocity(other, y, i / 10)
        return [x, y]

    def one_chain_after_the_other(hidden: Tensor, other: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
        x = velocity(hidden, x, 0.1)
        return [x, velocity(other, x + y, 0.1)]

    example = [torch.randn(5, width).double() for width in (8, 8, 2, 2)]
    names = recorded_for_a_gpu(two_chains, *example)
    assert sum("addmm" in name for name in names) == 2 * 4  # and not 2 * 7
    names = recorded_for_a_gpu(one_chain_after_the_other, *example)
    assert sum("addmm" in name for name in names) == 2 * 2


def test_steps_in_bfloat16_are_joined(as_on_a_gpu: None) -> None:
    kernel, kernel_t, out = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((2, 8), (1, 8), (8, 2)))
    bias = torch.nn.Parameter(torch.randn(2))

    def velocity(hidden: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            return torch.addmm(bias, gelu(torch.addmm(torch.add(hidden, kernel_t, alpha=0.5), x, kernel)), out)

    def two_steps(hidden: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
        return [velocity(hidden, x), velocity(hidden + 1, y)]

    names = recorded_for_a_gpu(two_steps, *(torch.randn(5, width) for width in (8, 2, 2)))
    assert sum("addmm" in name for name in names) == 2


def test_rows_that_are_copied_into_a_tensor_are_stacked(as_on_a_gpu: None) -> None:
    def function(x: Tensor) -> list[Tensor]:
        path = torch.empty(3, 2, dtype=torch.float64)
        for i in range(3):
            x = x + 1
            path[i] = x
        return [path[-1], path.flip(0), path * 2]

    names = recorded_for_a_gpu(function, torch.randn(2).double())
    assert sum("copy_" in name for name in names) == 0
    assert names.count("stack") == 2


def test_a_result_that_changes_after_it_was_copied_is_not_stacked(as_on_a_gpu: None) -> None:
    def function(x: Tensor) -> list[Tensor]:
        path = torch.empty(1, 2, dtype=torch.float64)
        y = x + 1
        path[0] = y
        y.mul_(3)
        return [path * 2, y]

    recorded_for_a_gpu(function, torch.randn(2).double())


def test_slopes_are_applied_as_they_are_computed(as_on_a_gpu: None) -> None:
    def function(x: Tensor, g: Tensor) -> list[Tensor]:
        (slopes,) = torch.func.vjp(gelu, x)[1](torch.ones_like(x))
        return [slope * g for slope in slopes.view(2, 3, 4)]

    names = recorded_for_a_gpu(function, torch.randn(6, 4).double(), torch.randn(3, 4).double())
    assert sum("gelu_backward" in name for name in names) == 2
    assert "mul" not in names and not any("ones_like" in name for name in names)


def test_numbers_are_multiplied_within_sums(as_on_a_gpu: None) -> None:
    def function(x: Tensor, y: Tensor) -> list[Tensor]:
        scaled = 3 * y
        return [x + 2 * y, x * 2 + y, torch.add(x, y * 2, alpha=3), x + scaled, scaled]

    names = recorded_for_a_gpu(function, torch.randn(3).double(), torch.randn(3).double())
    assert names.count("mul") == 1  # of what is returned itself


def test_activations_are_fused_where_the_product_is_not_needed() -> None:
    kernel, bias = torch.nn.Parameter(torch.randn(2, 2)), torch.nn.Parameter(torch.randn(2))

    def function(x: Tensor) -> list[Tensor]:
        with torch.no_grad():
            kept = torch.addmm(bias, x, kernel)
            return [gelu(torch.addmm(bias, x + 1, kernel)), gelu(kept), kept]

    traced = recording._trace(function, [torch.randn(3, 2)])
    names = operations(recording._finish(traced, GPU_PASSES))
    assert sum("_addmm_activation" in name for name in names) == sum("gelu" in name for name in names) == 1


def test_norms_and_clipping_one_member_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = [torch.randn(3, *shape).double() for shape in ((2, 4), (1, 5), ())]
    scale = torch.tensor([1.0, 0.5, 2.0]).double()
    found = []
    for one_by_one in (False, True):
        monkeypatch.setattr(member_adam, "_one_by_one", lambda _, taken=one_by_one: taken)
        scaled = [gradient.clone() for gradient in gradients]
        scale_members(scaled, scale)
        found.append([member_norms(gradients), *scaled])
    for together, apart in zip(*found, strict=True):
        torch.testing.assert_close(apart, together, rtol=1e-14, atol=0)


def failing(module: fx.GraphModule) -> None:
    raise RuntimeError("an operation it does not know")


def wrong(module: fx.GraphModule) -> None:
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.mean.dim:
            node.target = torch.ops.aten.sum.dim_IntList


@pytest.mark.slow
@pytest.mark.parametrize(("rewrite", "why"), [(failing, "an operation it does not know"), (wrong, "differs by")])
def test_a_rewrite_that_fails_or_computes_something_else_is_left_out(
    rewrite: Callable[[fx.GraphModule], None],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    algorithm, batch = make(kind_of("QAM")), make_batch(1)
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    recorded = recording.RecordedGradients(algorithm, batch, noise, diagnose=False)
    expected = UpdateResult(*recorded(batch, noise))
    monkeypatch.setattr(recording, "GPU_PASSES", (rewrite,))
    fast_update._rewrite_for_gpu(recorded, batch, noise, fast_update.ROUNDING)
    assert all(torch.equal(a, b) for a, b in zip(recorded(batch, noise)[1], expected.gradients, strict=True))
    (message,) = caplog.messages
    assert message.startswith("recorded operations are not rewritten for the GPU") and why in message


class Recorded:
    """A recording of one product in float32, which a rewrite multiplies by a factor."""

    def __init__(self, factor: float) -> None:
        self.written, self.factor = 1.0, factor
        self.precisions: list[str] = []

    def rewrite(self, for_gpu: bool) -> None:
        self.written = self.factor if for_gpu else 1.0

    def __call__(self, batch: object, noise: object) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        self.precisions.append(torch.get_float32_matmul_precision())
        return {}, [torch.arange(4.0) * self.written]


@pytest.mark.parametrize(("factor", "kept"), [(1.05, False), (1 / 1.05, False), (1.001, True)])
def test_a_rewrite_is_compared_without_tensorfloat(factor: float, kept: bool, caplog: pytest.LogCaptureFixture) -> None:
    recorded: Any = Recorded(factor)
    batch = Batch(*(field.float() for field in make_batch(1)))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        fast_update._rewrite_for_gpu(recorded, batch, {}, fast_update.ROUNDING)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert recorded.precisions == ["highest", "highest"]
    assert recorded.written == (factor if kept else 1.0) and (not caplog.messages) == kept
