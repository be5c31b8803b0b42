"""Ways of computing the same updates, compared with each other.

A check returns what it found, as a short text, and raises `CheckFailed` where the ways differ.
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
"""Of each comparison: those before a capture, the captures, and replays, with metrics (every third one) and without."""

ROUNDING = 1e-9
"""Accepted difference in float64, relative to the largest entry of a tensor."""


class CheckFailed(Exception):
    """Two ways of computing the same differ. The message has the size of the difference."""


class Check(NamedTuple):
    """One comparison.

    Attributes:
        name: what is compared.
        run: function of the device; it returns what it found and raises `CheckFailed`.
        needs_gpu: whether it is about GPUs only.
    """

    name: str
    run: Callable[[torch.device], str]
    needs_gpu: bool


def recorded_equals_eager(device: torch.device) -> str:
    """Recorded updates against those that autograd makes, in float64."""

    def difference(name: str) -> float:
        eager, recorded = small_algorithm(name, device), small_algorithm(name, device)
        eager.recorded = False
        states = [state_after(one, small_inputs(one, UPDATES)) for one in (eager, recorded)]
        _require_outcome(name, recorded, "recorded replay")
        return largest_difference(*states)

    return _verdict({name: difference(name) for name in METHODS})


def captured_equals_recorded(device: torch.device) -> str:
    """Replays of a CUDA graph against recorded updates, in float64."""

    def difference(name: str) -> float:
        recorded, captured = small_algorithm(name, device), small_algorithm(name, device, capture="auto")
        states = [state_after(one, small_inputs(one, UPDATES)) for one in (recorded, captured)]
        _require_outcome(name, captured, "CUDA graph")
        return largest_difference(*states)

    return _verdict({name: difference(name) for name in METHODS})


def gpu_equals_cpu(device: torch.device) -> str:
    """Updates on the GPU against those on the CPU, in float64."""

    def difference(name: str) -> float:
        here, there = small_algorithm(name, torch.device("cpu")), small_algorithm(name, device, capture="auto")
        return largest_difference(
            state_after(here, small_inputs(here, UPDATES)), state_after(there, small_inputs(there, UPDATES))
        )

    return _verdict({name: difference(name) for name in METHODS}, accepted=1e-7)


def replay_never_waits(device: torch.device) -> str:
    """Whether a replayed update waits for the GPU."""
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
    """A run that is continued from a checkpoint of its middle against one that is not interrupted."""
    with tempfile.TemporaryDirectory() as whole_directory, tempfile.TemporaryDirectory() as other_directory:
        whole = small_run(device, Path(whole_directory))
        continued = small_run(device, Path(other_directory), start=whole.checkpoint)
    return _equal_bits(largest_difference(whole.state, continued.state))


def second_run_equals_first(device: torch.device) -> str:
    """Two runs after another in one process."""
    with tempfile.TemporaryDirectory() as directory:
        first, second = (small_run(device, Path(directory)) for _ in range(2))
    return _equal_bits(largest_difference(first.state, second.state))


def adopts_a_cpu_checkpoint(device: torch.device) -> str:
    """A checkpoint of the CPU, continued on the GPU."""
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
    """Capture while another thread allocates on the GPU and copies to it, as the reader of a large dataset does."""
    expected = small_algorithm("qam", device)
    wanted = state_after(expected, small_inputs(expected, UPDATES))
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
        found = state_after(algorithm, small_inputs(algorithm, UPDATES))
    finally:
        stop.set()
        thread.join()
    if failures:
        raise CheckFailed(f"the copying thread failed: {failures[0]}")
    return _verdict({"qam": largest_difference(wanted, found)})


def _require_outcome(name: str, algorithm: Algorithm, way: str) -> None:
    """Raise CheckFailed if updates were made in another way, which an algorithm chooses where the faster one fails."""
    if not algorithm.capture_outcome.startswith(way):
        raise CheckFailed(f"{name}: {algorithm.capture_outcome}")


def _verdict(differences: dict[str, float], accepted: float = ROUNDING) -> str:
    """The differences by method as text; raises CheckFailed where one is too large."""
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
