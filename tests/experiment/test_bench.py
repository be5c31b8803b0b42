"""qam-bench: what it counts, what it times, and what it says to bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from qam_torch.experiment import bench
from qam_torch.experiment.bench import PRESETS, REFERENCE_MS, Size, Workload, main
from qam_torch.experiment.flops import count_flops, matrix_peak, measure_parts, update_in_parts
from qam_torch.networks import MLP
from qam_torch.types import Work

CPU = torch.device("cpu")
SMALL = Size(observation_dim=7, action_dim=2, horizon_length=3, hidden=(16, 24), num_qs=3, batch_size=11, flow_steps=4)
SMALL_FLAGS = (
    "--observation-dim 3 --action-dim 2 --horizon-length 2 --hidden 8 8 --num-qs 2 --batch-size 4 --flow-steps 2"
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get in one another's way at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def workload(
    algo: str = "qam", size: Size = SMALL, population: int = 1, capture: bool = False, **more: Any
) -> Workload:
    return Workload(algo, size, population, CPU, capture, **more)


def qam_flops(size: Size) -> dict[str, int]:
    """Part -> matrix-product operations of one member's update, from the definition of QAM.

    A velocity's first layer is applied to s once a binding, and to t without a product. Differentiating a layer in
    its parameters costs as much as evaluating it, and so does differentiating it in its input.
    """
    dim, (first, *_), steps = size.action_dim * size.horizon_length, size.hidden, size.flow_steps
    layers = 2 * size.batch_size * sum(i * o for i, o in zip(size.hidden, size.hidden[1:], strict=False))
    bind = 2 * size.batch_size * size.observation_dim * first
    enter = 2 * size.batch_size * dim * first
    rest = layers + 2 * size.batch_size * size.hidden[-1] * dim
    velocity = enter + rest
    value = bind + enter + layers + 2 * size.batch_size * size.hidden[-1]
    critics = size.num_qs * value
    return {
        "acting in the TD target": bind + steps * velocity,
        # target; forward, parameters, inputs but the first layer's
        "critic": critics + 3 * critics - size.num_qs * (bind + enter),
        # forward, parameters, inputs but the first layer's
        "flow matching": 2 * (bind + velocity) + rest,
        # f_theta bound and evaluated at all nodes but the last; f_beta bound and evaluated at the last
        "memoryless SDE": 2 * bind + (steps - 1) * velocity + velocity,
        # the critic's action gradient; f_beta and its vector-Jacobian product at every node
        "lean adjoint": 2 * critics + steps * 2 * velocity,
        # f_theta at the last node, f_beta at the others; f_theta's parameters, and inputs but the first layer's
        "regression": velocity + (steps - 1) * velocity + steps * (velocity + rest) + bind,
        "Polyak, clipping, Adam": 0,
    }


def test_an_mlps_products_are_counted_by_hand() -> None:
    """B = 5 rows through 3 -> 4 -> 2, forward and backward in parameters and input."""
    lone, ensemble = MLP((1,), 3, (4,), 2), MLP((2, 3), 3, (4,), 2)
    forward = 2 * 5 * (3 * 4 + 4 * 2)
    x = torch.ones(1, 5, 3, requires_grad=True)
    assert count_flops(lambda: lone(x)) == forward
    assert count_flops(lambda: lone(x).sum().backward()) == 3 * forward
    assert count_flops(lambda: lone(x.detach()).sum().backward()) == 3 * forward - 2 * 5 * 3 * 4
    assert count_flops(lambda: ensemble(x.detach().expand(2, 5, 3))) == 6 * forward


def test_products_inside_torch_func_are_counted() -> None:
    x, w = torch.ones(5, 3), torch.ones(3, 4)
    assert count_flops(lambda: torch.func.vjp(lambda y: y @ w, x)[1](torch.ones(5, 4))) == 2 * (2 * 5 * 3 * 4)


@pytest.mark.parametrize("population", [1, 2])
@pytest.mark.parametrize("flow_steps", [1, 4])
def test_an_update_of_qam_costs_what_its_definition_says(population: int, flow_steps: int) -> None:
    size = SMALL._replace(flow_steps=flow_steps)
    assert workload(size=size, population=population).flops() == population * sum(qam_flops(size).values())


def test_the_papers_update_is_about_56_gflop() -> None:
    assert sum(qam_flops(PRESETS["paper"]).values()) == pytest.approx(56e9, rel=0.02)


def test_the_captured_update_does_the_counted_products() -> None:
    """All of them but the base flow's last layer at the T nodes of the lean adjoint, which nothing looks at."""
    captured = workload(capture=True)
    batch, noise = captured.example()
    captured.algorithm.update(batch, noise)
    with FlopCounterMode(display=False) as counter:
        captured.algorithm.update(batch, noise)
    unused = SMALL.flow_steps * 2 * SMALL.batch_size * SMALL.hidden[-1] * captured.algorithm.chunk_dim
    assert captured.flops() - counter.get_total_flops() == unused
    assert captured.algorithm.capture


def test_parts_cost_what_the_definition_says_and_add_up() -> None:
    parts = workload()
    found = measure_parts(parts.algorithm, *parts.example(), repeats=1)
    assert {name: round(part["gflop"] * 1e9) for name, part in found.items()} == qam_flops(SMALL)
    assert all(part["ms"] > 0 for part in found.values())


def test_the_update_in_parts_is_the_update() -> None:
    whole, parts = workload(population=2), workload(population=2)
    for _ in range(3):
        whole.algorithm.update(*whole.example())
        list(update_in_parts(parts.algorithm, *parts.example()))
    for a, b in zip(whole.algorithm.parameters(), parts.algorithm.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("algo", ["qam", "qam_f", "qam_e"])
def test_what_is_timed_is_what_training_does(algo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stacks of two updates end where two of the trainer's steps end, and so do the metrics."""
    timed, trained = workload(algo, stack=2), workload(algo, stack=2)
    monkeypatch.setattr(trained.algorithm, "_count", lambda updates: None)
    metrics = timed.run(4)
    for step in range(2):
        trained.algorithm.training_step(Work(2, [trained.batch]), step)
    for a, b in zip(timed.algorithm.parameters(), trained.algorithm.parameters(), strict=True):
        assert torch.equal(a, b)
    assert metrics.keys() == trained.algorithm.metrics.keys()


def test_the_peak_is_no_lower_than_a_products_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qam_torch.experiment.flops.PEAK_SIZES", (256,))
    monkeypatch.setattr("qam_torch.experiment.flops.PEAK_SECONDS", 0.05)
    assert 1e8 < matrix_peak(CPU) < 1e15


def fake_peaks(monkeypatch: pytest.MonkeyPatch, *peaks: float) -> None:
    rates = iter(peaks)
    monkeypatch.setattr(bench, "matrix_peak", lambda device: next(rates))


def test_figures_agree_with_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_peaks(monkeypatch, 50e9, 200e9, 100e9)
    path = tmp_path / "bench.json"
    torch.set_num_threads(2)
    flags = (
        f"--preset quickstart --population 1 3 --updates 3 --repeats 2 --threads 1 --parts --json {path} {SMALL_FLAGS}"
    )
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
        assert "reference" not in result  # other sizes than the preset's
        assert sum(part["gflop"] for part in result["parts"].values()) == pytest.approx(result["gflop_per_update"])
    printed = capsys.readouterr().out
    assert printed.count("quickstart*") == 2 and "lean adjoint" in printed


def test_the_reference_stands_beside_its_own_workload_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_peaks(monkeypatch, *[1e12] * 9)
    figures = dict.fromkeys(
        ("best_ms_per_update", "updates_per_s", "member_updates_per_s", "gflop_per_update", "gflop_per_s"), 1.0
    )
    first = {"first_update_s": 1.0, "first_update_with_metrics_s": 1.0}
    monkeypatch.setattr(bench, "measure", lambda *_: {"ms_per_update": 2.0, **figures, **first})
    monkeypatch.setattr(bench, "Workload", lambda *_, **__: None)
    path = tmp_path / "bench.json"
    assert (
        main(["--algo", "qam", "qam_f", "--population", "1", "2", "--preset", "paper", "medium", "--json", str(path)])
        == 0
    )
    results = json.loads(path.read_text())["results"]
    assert len(results) == 8
    referred = {r["preset"]: r["reference"] for r in results if "reference" in r}
    assert sum("reference" in r for r in results) == 2
    for preset in ("paper", "medium"):
        assert referred[preset]["ms"] == list(REFERENCE_MS[preset])
        assert referred[preset]["speedup"] == pytest.approx(REFERENCE_MS[preset][0] / 2)
        assert referred[preset]["label"] == "reference (JAX, 2 cores)"
    assert "285.00 x as fast" in capsys.readouterr().out


def test_eager_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []

    def measured(workload: Workload, updates: int | None, repeats: int) -> dict[str, Any]:
        workload.run(1)
        seen.append((workload.algorithm.capture, len(workload.algorithm.captured)))
        raise bench.QamError("enough")

    monkeypatch.setattr(bench, "measure", measured)
    for flags in ([], ["--eager"]):
        fake_peaks(monkeypatch, 1e12)
        assert main(["--preset", "quickstart", *SMALL_FLAGS.split(), *flags]) == 1
    assert seen == [(True, 1), (False, 0)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--algo qam_g", "unknown --algo 'qam_g': expected one of qam, qam_f, qam_e"),
        ("--preset papper", "unknown --preset 'papper': expected one of quickstart, medium, paper"),
        ("--hidden 16 0", "--hidden=[16, 0] is out of range"),
        ("--population 0", "--population=[0] is out of range"),
        ("--flow-steps 0", "--flow-steps=0 is out of range"),
        ("--batch-size many", "invalid int value: 'many'"),
        ("--updates -3", "--updates"),
        ("--updates 0", "--updates=0 is out of range"),
        ("--threads 0", "--threads=0 is out of range"),
        ("--device tpu", "unknown --device 'tpu': expected one of cpu, cuda"),
        ("--parts --algo qam_f", "--parts knows the parts of qam only"),
        ("--json /nowhere/at/all.json", "/nowhere/at/all.json cannot be written"),
        ("--wrong", "unrecognized arguments: --wrong"),
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
def test_a_missing_gpu_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda"]) == 1
    assert "use --device cpu" in capsys.readouterr().err


def test_diverging_figures_are_refused() -> None:
    diverged = workload(arguments={"lr": 1e30})
    with pytest.raises(bench.QamError, match="infinite or NaN"):
        bench.measure(diverged, updates=5, repeats=1)
