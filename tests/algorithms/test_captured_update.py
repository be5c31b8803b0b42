"""A whole update as a CUDA graph, emulated on the CPU: every method, at every turn, to the bit."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from qam_torch.algorithms import QAM, Algorithm, LossTerm
from qam_torch.algorithms.core.fast_update import WARM_UP
from qam_torch.algorithms.core.signatures import annotations_of
from qam_torch.types import Batch, Noise, QamError
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make, make_batch, make_noise
from tests.helpers.emulated_cuda import Runtime

CAPTURED = "CUDA graph, equal to the recorded update bit for bit"
OWN_RATES = [3e-4, 1e-2, 1e-3]


def changes(algorithm: Algorithm) -> dict[str, Tensor]:
    """All that an update changes."""
    moments = {
        f"{place}/{name}": value
        for place, state in enumerate(algorithm.adam.state.values())
        for name, value in state.items()
    }
    divergence = {f"divergence/{name}": value for name, value in algorithm.divergence.saved().items()}
    return {**algorithm.state_dict(), **dict(algorithm.named_buffers()), **moments, **divergence}


def require_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value.nan_to_num(7.0), theirs[name].nan_to_num(7.0)), name


class Updates:
    """Numbered updates of one algorithm."""

    def __init__(self, algorithm: Algorithm, lost: int | None = None) -> None:
        self.algorithm, self.lost, self.made = algorithm, lost, 0
        self.noise = make_noise(algorithm, 40)

    def make(self, count: int) -> list[dict[str, Tensor]]:
        """Every third one with all metrics; the last member's batch of number `lost` is not finite."""
        reports = []
        for u in range(self.made, self.made + count):
            batch = make_batch(self.algorithm.members, seed=u)
            if u == self.lost:
                batch.rewards[-1] = float("nan")
            noise = {name: draw[u] for name, draw in self.noise.items()}
            reports.append(self.algorithm.update(batch, noise, diagnose=u % 3 == 2))
        self.made += count
        return reports


def both(kind: type[Algorithm], members: int, lost: int | None = None, **options: Any) -> list[Updates]:
    """The same algorithm, captured and in eager mode; with few flow steps, as each is recorded."""
    steps = {name: 2 for name in ("flow_steps", "diffusion_steps") if name in annotations_of(kind)}
    pair = []
    for recorded in (True, False):
        algorithm = make(kind, tuple(range(members)), clip_grad=True, num_qs=2, **steps, **options)
        if lost is not None:
            algorithm.freeze_diverged()
            algorithm.configure_optimizers()
        algorithm.recorded = recorded
        pair.append(Updates(algorithm, lost))
    return pair


def require_same_updates(pair: list[Updates], count: int) -> None:
    """Until both kinds of updates are replayed: every third is of one kind."""
    reports = [updates.make(count) for updates in pair]
    for ours, theirs in zip(*reports, strict=True):
        require_equal(ours, theirs)
    require_equal(*(changes(updates.algorithm) for updates in pair))


LONG = 3 * (WARM_UP + 2)
"""Updates until either kind has been captured and replayed once more."""


FAST = ("QAM", "FQL", "RQL")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in EVERY_METHOD]
)
def test_updates_of_one_member(name: str, cuda_graphs: Runtime) -> None:
    pair = both(kind_of(name), 1)
    require_same_updates(pair, LONG)
    assert pair[0].algorithm.capture_outcome == CAPTURED and len(cuda_graphs.captures) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_METHOD)
def test_members_with_their_own_rates_of_which_one_is_frozen_also_after_a_move(name: str, cuda_graphs: Runtime) -> None:
    pair = both(kind_of(name), 3, lost=LONG - 2, lr=OWN_RATES)
    require_same_updates(pair, LONG)
    for updates in pair:
        updates.algorithm._apply(torch.clone)  # what `to` does for another device
    require_same_updates(pair, LONG)
    assert pair[0].algorithm.divergence.diverged_at() == [None, None, LONG - 1]
    for updates in pair:
        updates.algorithm.configure_optimizers()
    require_same_updates(pair, 4)
    assert pair[0].algorithm.capture_outcome == "recorded replay (not captured yet)" and len(cuda_graphs.captures) == 4


def captured(capture: str | bool = "auto", kind: type[Algorithm] = QAM) -> Updates:
    algorithm = make(kind)
    algorithm.capture = capture
    return Updates(algorithm)


def plain(count: int, kind: type[Algorithm] = QAM) -> dict[str, Tensor]:
    """After updates in eager mode."""
    updates = captured(kind=kind)
    updates.algorithm.recorded = False
    updates.make(count)
    return changes(updates.algorithm)


@pytest.mark.slow
def test_graphs_share_a_stream_and_a_pool_and_leave_other_threads_alone(cuda_graphs: Runtime) -> None:
    captured().make(LONG)
    (first, second) = cuda_graphs.captures
    assert first == second
    assert first[1] == "thread_local", "a data file may be read just then"
    assert first[3], "garbage is not collected during a capture"
    assert gc.isenabled()


@pytest.mark.slow
def test_what_is_captured_runs_first_in_the_stream_of_captures(cuda_graphs: Runtime) -> None:
    seen: list[object] = []

    class Watched(QAM):
        def finish_update(self, *arguments: Any, **options: Any) -> Any:
            seen.append(cuda_graphs.stream)
            return super().finish_update(*arguments, **options)

    captured(kind=Watched).make(WARM_UP)
    assert len(seen) == WARM_UP and len(set(map(id, seen))) == 1 and seen[0] is not cuda_graphs.default
    assert seen[0].waited_for == [cuda_graphs.default] * WARM_UP  # type: ignore[attr-defined]
    assert cuda_graphs.default.waited_for == seen


@pytest.mark.slow
def test_recordings_are_dropped_with_their_algorithm(cuda_graphs: Runtime) -> None:
    """Otherwise a graph may be destroyed while another is captured, which ends that capture."""
    updates = captured()
    updates.make(LONG)
    graphs = [weakref.ref(graphed) for graphed in updates.algorithm._fast._graphed.values()]  # type: ignore[union-attr]
    gc.disable()
    try:
        del updates
        assert len(graphs) == 2 and all(graph() is None for graph in graphs)
    finally:
        gc.enable()


@pytest.mark.slow
def test_recordings_are_dropped_by_a_move_and_by_a_new_optimizer(cuda_graphs: Runtime) -> None:
    for end in (Algorithm.cpu, Algorithm.configure_optimizers):
        updates = captured()
        updates.make(LONG)
        kept = weakref.ref(next(iter(updates.algorithm.recordings.values())))
        end(updates.algorithm)
        assert kept() is None and updates.algorithm.capture_outcome == CAPTURED


@pytest.mark.slow
def test_a_graph_in_a_cycle_does_not_spoil_the_next_capture(cuda_graphs: Runtime) -> None:
    updates = captured()
    updates.make(LONG)
    updates.algorithm.cycle = updates  # type: ignore[assignment]
    del updates
    other = captured()
    other.make(LONG)
    assert other.algorithm.capture_outcome == CAPTURED


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in the middle", "at the end"])
def test_what_cannot_be_captured_is_replayed_uncaptured(
    when: str, cuda_graphs: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    updates, expected = captured(), plain(LONG)
    cause = "not permitted when stream is capturing"
    if when == "at the end":
        cuda_graphs.fails = cause
    else:
        step = updates.algorithm.adam.step

        def read() -> None:
            step()
            float(updates.algorithm.divergence.updates[0])

        updates.algorithm.adam.step = read  # type: ignore[method-assign, assignment]
    with caplog.at_level(logging.WARNING):
        updates.make(LONG)
    require_equal(changes(updates.algorithm), expected)
    assert updates.algorithm.capture_outcome.startswith("recorded replay (capture failed: ")
    (message,) = caplog.messages
    assert cause in message and message.startswith("updates are not captured as a CUDA graph")
    assert len(cuda_graphs.captures) == 1, "it is not tried again"
    assert cuda_graphs.capturing is None


@pytest.mark.slow
def test_a_graph_that_computes_something_else_is_not_used(
    cuda_graphs: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_an_operation(graph: Any) -> None:
        names = [function.overloadpacket.__name__ for function, *_ in graph.recorder.tape]
        del graph.recorder.tape[names.index("bmm")]

    cuda_graphs.spoil = lose_an_operation
    updates = captured()
    with caplog.at_level(logging.WARNING):
        updates.make(LONG)
    require_equal(changes(updates.algorithm), plain(LONG))
    assert "the graph differs from the recorded update by" in updates.algorithm.capture_outcome
    assert len(caplog.messages) == 1


@pytest.mark.slow
def test_a_difference_of_rounding_is_accepted_and_said(cuda_graphs: Runtime) -> None:
    def round_off(graph: Any) -> None:
        replay = graph.recorder.replay

        def rounded() -> None:
            replay()
            for report in reports:
                report.mul_(1 + 1e-7)

        graph.recorder.replay = rounded
        results = [result for *_, result in graph.recorder.tape if isinstance(result, Tensor)]
        reports[:] = [result for result in results if result.shape == (1,) and result.is_floating_point()]

    reports: list[Tensor] = []
    cuda_graphs.spoil = round_off
    updates = captured()
    updates.make(LONG)
    assert updates.algorithm.capture_outcome == "CUDA graph, equal to the recorded update to 1e-07"


@pytest.mark.slow
def test_a_demanded_capture_fails_where_it_is_impossible(cuda_graphs: Runtime) -> None:
    cuda_graphs.fails = "out of luck"
    updates = captured(True)
    updates.make(WARM_UP)
    with pytest.raises(QamError, match=r"capture=true, but the update cannot be captured \(out of luck\): give capt"):
        updates.make(2)


def test_a_demanded_capture_fails_on_a_cpu_and_without_a_recording() -> None:
    with pytest.raises(QamError, match="capture=true needs .* a CUDA device, but the updates run on cpu: give capture"):
        captured(True).make(1)
    unrecorded = captured(True)
    unrecorded.algorithm.recorded = False
    with pytest.raises(QamError, match="but the updates are not recorded: give capture=auto"):
        unrecorded.make(1)


@pytest.mark.slow
def test_without_capture_nothing_is_captured(cuda_graphs: Runtime) -> None:
    updates = captured(False)
    updates.make(LONG)
    assert not cuda_graphs.captures and updates.algorithm.capture_outcome == "recorded replay"
    require_equal(changes(updates.algorithm), plain(LONG))


@pytest.mark.slow
def test_outcomes_on_a_cpu() -> None:
    updates = captured()
    assert updates.algorithm.capture_outcome == "no update was made"
    updates.make(1)
    assert updates.algorithm.capture_outcome == "recorded replay (no CUDA device)"
    updates = captured()
    updates.algorithm.recorded = False
    updates.make(1)
    assert updates.algorithm.capture_outcome == "eager"


class ReadsANumber(QAM):
    """Reads a number of the batch on the host, which a recording cannot follow."""

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        scale = float(batch.rewards.mean())
        return [term._replace(loss=scale * term.loss) for term in super().losses(batch, noise)]


class ReadsAnArray(QAM):
    """The same behind torch's back, where recording does not notice."""

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        scale = float(batch.rewards.numpy().mean())
        return [term._replace(loss=scale * term.loss) for term in super().losses(batch, noise)]


class Counts(QAM):
    """Does something else at every call."""

    calls = 0

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        self.calls += 1
        return [term._replace(loss=self.calls * term.loss) for term in super().losses(batch, noise)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ReadsANumber, ReadsAnArray, Counts])
def test_a_method_that_cannot_be_recorded_is_computed_one_operation_at_a_time(
    kind: type[Algorithm], caplog: pytest.LogCaptureFixture
) -> None:
    updates = captured(kind=kind)
    with caplog.at_level(logging.WARNING):
        updates.make(3)
    assert updates.algorithm.capture_outcome.startswith("eager (recording failed: ")
    assert not updates.algorithm.recordings
    (message,) = caplog.messages
    assert message.startswith("updates are not recorded (")
    if kind is not Counts:
        require_equal(changes(updates.algorithm), plain(3, kind))


@pytest.mark.slow
def test_a_demanded_capture_of_such_a_method_fails(cuda_graphs: Runtime) -> None:
    with pytest.raises(QamError, match="capture=true, but the update cannot be recorded"):
        captured(True, ReadsAnArray).make(1)


@pytest.mark.slow
def test_the_helper_notices_tensors_that_have_moved(cuda_graphs: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """If recordings were not forgotten, the test of every method would fail."""
    pair = both(QAM, 1)
    require_same_updates(pair, LONG)
    monkeypatch.setattr(QAM, "clear_recordings", lambda algorithm: None)
    for updates in pair:
        updates.algorithm._apply(torch.clone)
    with pytest.raises(AssertionError):
        require_same_updates(pair, 3)


def on_a_gpu(algorithm: Algorithm) -> Algorithm:
    """As far as the algorithm knows."""
    algorithm._device = torch.device("cuda", 0)
    algorithm.configure_optimizers()
    return algorithm


@pytest.mark.slow
@pytest.mark.parametrize("lr", [1e-3, [1e-3, 1e-2]])
def test_options_of_a_checkpoints_optimizer_are_those_of_this_run_and_device(lr: float | list[float]) -> None:
    """An optimizer from a CPU could not be captured."""
    source = Updates(make(QAM, (0, 1), lr=3e-4))
    source.make(2)
    saved = source.algorithm.adam.state_dict()
    assert not saved["param_groups"][0]["capturable"]
    algorithm = on_a_gpu(make(QAM, (0, 1), lr=lr))
    algorithm.adam.load_state_dict(saved)
    (group,) = algorithm.adam.param_groups
    assert group["capturable"] and group["fused"] and group["lr"] == 1e-3
    states = zip(source.algorithm.adam.state.values(), algorithm.adam.state.values(), strict=True)
    for ours, theirs in states:
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
