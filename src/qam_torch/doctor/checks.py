"""Checks of `qam-doctor`: compute the same updates in two ways and compare the results.

A check returns its result as a short text. It raises `CheckFailed` if the results differ.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.doctor.small_runs import small_run
from qam_torch.doctor.small_updates import METHODS, largest_difference, small_algorithm, small_inputs, state_after

__all__ = ["CHECKS", "Check", "CheckFailed"]

UPDATES = 18
"""Updates per comparison: enough for eager updates, captures and replays. Every third update computes metrics."""

ROUNDING = 1e-9
"""Accepted difference in float64, relative to the largest entry of a tensor."""


class CheckFailed(Exception):
    """The results of two ways of computing the same differ. The message gives the difference."""


class Check(NamedTuple):
    """One comparison.

    Attributes:
        name: what is compared.
        run: device -> text of the result; raises `CheckFailed`.
        needs_gpu: whether the check requires a GPU.
    """

    name: str
    run: Callable[[torch.device], str]
    needs_gpu: bool


def recorded_equals_eager(device: torch.device) -> str:
    """Compare recorded updates with eager ones, in float64."""

    def difference(name: str) -> float:
        eager, recorded = small_algorithm(name, device), small_algorithm(name, device)
        eager.recorded = False
        states = [state_after(one, small_inputs(one, UPDATES)) for one in (eager, recorded)]
        _require_outcome(name, recorded, "recorded replay")
        return largest_difference(*states)

    return _verdict({name: difference(name) for name in METHODS})


def captured_equals_recorded(device: torch.device) -> str:
    """Compare replays of a CUDA graph with recorded updates, in float64."""

    def difference(name: str) -> float:
        recorded, captured = small_algorithm(name, device), small_algorithm(name, device, capture="auto")
        states = [state_after(one, small_inputs(one, UPDATES)) for one in (recorded, captured)]
        _require_outcome(name, captured, "CUDA graph")
        return largest_difference(*states)

    return _verdict({name: difference(name) for name in METHODS})


def gpu_equals_cpu(device: torch.device) -> str:
    """Compare updates on the GPU with those on the CPU, in float64."""

    def difference(name: str) -> float:
        on_cpu, on_gpu = small_algorithm(name, torch.device("cpu")), small_algorithm(name, device, capture="auto")
        return largest_difference(
            state_after(on_cpu, small_inputs(on_cpu, UPDATES)), state_after(on_gpu, small_inputs(on_gpu, UPDATES))
        )

    return _verdict({name: difference(name) for name in METHODS}, accepted=1e-7)


def replay_never_waits(device: torch.device) -> str:
    """Check that a replayed update does not wait for the GPU."""
    for name in METHODS:
        algorithm = small_algorithm(name, device, capture=True)
        inputs = small_inputs(algorithm, UPDATES)
        state_after(algorithm, inputs)  # captures both kinds of update
        torch.cuda.set_sync_debug_mode("error")
        try:
            for u, (batch, noise) in enumerate(inputs):
                algorithm.update(batch, noise, diagnose=u % 3 == 2)
        except RuntimeError as error:
            raise CheckFailed(f"{name} waits: {str(error).splitlines()[0]}") from error
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return ", ".join(METHODS)


def resumes_bit_for_bit(device: torch.device) -> str:
    """Compare a run that resumes from a checkpoint with an uninterrupted one."""
    with tempfile.TemporaryDirectory() as whole_directory, tempfile.TemporaryDirectory() as other_directory:
        whole = small_run(device, Path(whole_directory))
        continued = small_run(device, Path(other_directory), start=whole.checkpoint)
    return _equal_bits(largest_difference(whole.state, continued.state))


def second_run_equals_first(device: torch.device) -> str:
    """Compare two successive runs in one process."""
    with tempfile.TemporaryDirectory() as directory:
        first, second = (small_run(device, Path(directory)) for _ in range(2))
    return _equal_bits(largest_difference(first.state, second.state))


def adopts_a_cpu_checkpoint(device: torch.device) -> str:
    """Compare a CPU checkpoint that continues on the GPU with one that continues on the CPU."""
    with tempfile.TemporaryDirectory() as directory:
        saved = small_run(torch.device("cpu"), Path(directory))
        content = torch.load(saved.checkpoint, weights_only=True)
    states = []
    for place in (torch.device("cpu"), device):
        algorithm = small_algorithm("qam", place, capture="auto")
        algorithm.load_state_dict(content["state_dict"])
        algorithm.adam.load_state_dict(content["optimizer_states"][0])
        states.append(state_after(algorithm, small_inputs(algorithm, UPDATES)))
    return _verdict({"qam": largest_difference(*states)}, accepted=1e-7)


def captures_beside_a_copying_thread(device: torch.device) -> str:
    """Capture while another thread allocates on the GPU and copies to it, as when the next shard is read."""
    reference = small_algorithm("qam", device)
    expected = state_after(reference, small_inputs(reference, UPDATES))
    stop, failures = threading.Event(), list[BaseException]()

    def copy() -> None:
        try:
            stream = torch.cuda.Stream(device)
            with torch.cuda.stream(stream):
                while not stop.is_set():
                    torch.randn(1 << 20).to(device)
                    stream.synchronize()
        except BaseException as error:  # reported by the check
            failures.append(error)

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        algorithm = small_algorithm("qam", device, capture=True)
        actual = state_after(algorithm, small_inputs(algorithm, UPDATES))
    finally:
        stop.set()
        thread.join()
    if failures:
        raise CheckFailed(f"the copying thread failed: {failures[0]}")
    return _verdict({"qam": largest_difference(expected, actual)})


def _require_outcome(name: str, algorithm: Algorithm, expected: str) -> None:
    """Raise CheckFailed if the algorithm fell back to a slower way of running updates than expected."""
    if not algorithm.capture_outcome.startswith(expected):
        raise CheckFailed(f"{name}: {algorithm.capture_outcome}")


def _verdict(differences: dict[str, float], accepted: float = ROUNDING) -> str:
    """The difference of each method as text. Raises CheckFailed if one is too large."""
    text = ", ".join(f"{name} {'equal bits' if error == 0 else f'{error:.1e}'}" for name, error in differences.items())
    if max(differences.values()) > accepted:
        raise CheckFailed(f"{text}; at most {accepted:.0e} is accepted")
    return text


def _equal_bits(error: float) -> str:
    if error:
        raise CheckFailed(f"the parameters differ by {error:.1e}; equal bits are expected")
    return "equal bits"


CHECKS = (
    Check("recorded updates equal eager ones", recorded_equals_eager, needs_gpu=False),
    Check("a continued run equals a whole one", resumes_bit_for_bit, needs_gpu=False),
    Check("a second run in the process equals the first", second_run_equals_first, needs_gpu=False),
    Check("the GPU's updates equal the CPU's", gpu_equals_cpu, needs_gpu=True),
    Check("captured updates equal recorded ones", captured_equals_recorded, needs_gpu=True),
    Check("a replayed update does not wait for the GPU", replay_never_waits, needs_gpu=True),
    Check("a checkpoint of the CPU continues on the GPU", adopts_a_cpu_checkpoint, needs_gpu=True),
    Check("captures while another thread copies to the GPU", captures_beside_a_copying_thread, needs_gpu=True),
)
