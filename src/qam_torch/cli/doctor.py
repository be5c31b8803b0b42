"""`qam-doctor`: check the updates that this machine computes, measure their speed, and print text for a bug report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qam_torch.cli.command import Parser, run_command
from qam_torch.types import QamError

if TYPE_CHECKING:
    import torch

    from qam_torch.doctor.checks import Check

__all__ = ["main"]

DESCRIPTION = """\
Check in about two minutes that this machine computes correct updates, and measure their speed. The output is one block
of text for bug reports:

  - versions, device, memory and precision
  - comparisons: eager with recorded and captured updates, CPU with GPU, uninterrupted with continued runs
  - updates per second of QAM at the paper's size

The exit status is 1 if a check fails. On a CPU, checks that need a GPU are listed as "not checked".
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-doctor`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status, see `run_command`; 1 if a check fails.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return run_command("qam-doctor", lambda: _run(words), memory_hint="close other programs that use the GPU")


def _run(words: Sequence[str]) -> int:
    options = _parser().parse_args(words)
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise QamError(f"--device {options.device} needs a GPU that torch can use, and there is none: use --device cpu")
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    from qam_torch.doctor.checks import CHECKS
    from qam_torch.doctor.facts import facts

    print("qam-doctor")
    for topic, text in facts(device).items():
        print(f"  {topic:12}{text}")
    failed = 0
    print("checks, in float64", flush=True)
    for check in CHECKS:
        status, text = _outcome(check, device)
        failed += status == "FAILED"
        print(f"  {status:12}{check.name}: {text}", flush=True)
    if not options.no_speed:
        print("speed of QAM's update at the paper's size", flush=True)
        for line in _speed_lines(device):
            print(f"  {line}", flush=True)
    skipped = sum(check.needs_gpu for check in CHECKS) if device.type == "cpu" else 0
    print(f"{failed or 'no'} check{'' if failed == 1 else 's'} failed" + (f", {skipped} need a GPU" if skipped else ""))
    return min(failed, 1)


def _outcome(check: Check, device: torch.device) -> tuple[str, str]:
    """Run a check; returns its status and text. Any exception counts as a failure; the other checks still run."""
    from qam_torch.doctor.checks import CheckFailed

    if check.needs_gpu and device.type == "cpu":
        return "not checked", "needs a GPU"
    try:
        return "ok", check.run(device)
    except CheckFailed as error:
        return "FAILED", str(error)
    except Exception as error:
        return "FAILED", f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _speed_lines(device: torch.device) -> Iterator[str]:
    from qam_torch.doctor.speed import measure_speed
    from qam_torch.system.console import readable_size

    for precision in ("float32", "bf16-mixed") if device.type == "cuda" else ("float32",):
        for result in measure_speed(device, precision):
            memory = result["peak_memory_bytes"]
            yield (
                f"P = {result['population']:<3} {precision:11}{result['updates_per_s']:8.1f} updates/s"
                f"{result['member_updates_per_s']:9.1f} member updates/s, "
                f"first update {result['first_update_s']:.1f} s, "
                f"{result['share_of_peak']:.0%} of the peak"
                + ("" if memory is None else f", {readable_size(memory)} of GPU memory")
            )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="qam-doctor", description=DESCRIPTION)
    parser.add_argument(
        "--device", default="", metavar="DEVICE", help="cpu, cuda or cuda:N (default cuda if there is one)"
    )
    parser.add_argument("--no-speed", action="store_true", help="do not measure the speed")
    return parser
