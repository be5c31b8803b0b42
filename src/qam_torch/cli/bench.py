"""`qam-bench`: updates per second and arithmetic rate of a method, against the machine's measured peak.

What is timed is what training does between two looks at the trainer: drawing the noise of U stacked batches and
making U updates, with every metric computed at the last one only. The transitions are synthetic, and neither sampling
of batches nor the Trainer is included.

The arithmetic rate counts matrix products only. The peak is the best rate of large square products in the update's
precision, measured right before and right after; on a machine that others use too, neither figure means much.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import torch

from qam_torch.bench.measure import CLOCKS, machine, matrix_peak, measure
from qam_torch.bench.parts import measure_parts
from qam_torch.bench.table import COLUMNS, REFERENCE_LABEL, part_rows, reference, row
from qam_torch.bench.workload import PRESETS, Size, Workload
from qam_torch.cli.bench_options import parse
from qam_torch.system.import_path import include_working_directory
from qam_torch.training.threads import threads_sleep
from qam_torch.types import QamError

__all__ = ["PRESETS", "Size", "Workload", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-bench`; returns 0, or 1 after telling in one sentence what is wrong."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    threads = torch.get_num_threads()
    try:
        include_working_directory()
        options = parse(arguments, __doc__)
        torch.set_num_threads(options.threads or threads)
        found = {"command": shlex.join(["qam-bench", *arguments]), **_bench(options)}
        if options.json:
            options.json.write_text(json.dumps(found, indent=2) + "\n")
    except (QamError, OSError) as error:
        print(f"qam-bench: {error}", file=sys.stderr)
        return 1
    except torch.OutOfMemoryError:
        print("qam-bench: the GPU's memory does not hold it: lower --population or --batch-size", file=sys.stderr)
        return 1
    finally:
        torch.set_num_threads(threads)
    return 0


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every combination that was asked for, printing as it goes."""
    device = torch.device(options.device)
    about = machine(device)
    print(", ".join(f"{name} {about[name]}" for name in ("device", "cpu", "cores", "threads", "torch")))
    if threads_sleep() and torch.get_num_threads() > 1:
        print("OMP_WAIT_POLICY=passive: small updates are faster with --threads 1, which qam-train takes there")
    print(COLUMNS, flush=True)
    overrides = {name: value for name in Size._fields if (value := getattr(options, name)) is not None}
    peaks = [_peak(options)]
    results = []
    for algo in options.algo:
        for preset in options.preset:
            for population in options.population:
                size = PRESETS[preset]._replace(**overrides)
                results.append(_measured(options, algo, preset, size, population, peaks))
    best = max(peaks) / 1e9
    print(f"peak {best:.1f} GFLOP/s, the lowest of {len(peaks)} measurements {min(peaks) / 1e9:.1f}")
    if overrides:
        print("* other sizes than the preset's own")
    return {"machine": about, "results": results}


def _peak(options: argparse.Namespace) -> float:
    mixed = options.precision == "bf16-mixed"
    return matrix_peak(torch.device(options.device), torch.bfloat16 if mixed else torch.float32, CLOCKS[options.clock])


def _measured(
    options: argparse.Namespace, algo: str, preset: str, size: Size, population: int, peaks: list[float]
) -> dict[str, Any]:
    """One method's figures, printed; the peak right after is added to the ones before."""
    workload = Workload(
        algo,
        size,
        population,
        options.device,
        capture=not options.eager,
        compiled=options.compile,
        precision=options.precision,
        config_dir=options.config_dir,
    )
    result = {
        "algo": algo,
        "preset": preset,
        "size": size._asdict(),
        "population": population,
        "captured": not options.eager,
        "compiled": options.compile,
        "precision": options.precision,
        "clock": options.clock,
        **measure(workload, options.updates, options.repeats, CLOCKS[options.clock]),
    }
    peaks.append(_peak(options))
    around = [peak / 1e9 for peak in peaks[-2:]]
    result["peak_gflop_per_s"] = {"before": around[0], "after": around[1]}
    result["share_of_peak"] = result["gflop_per_s"] / max(around)
    known = options.clock == "wall" and reference(algo, preset, size, population, options.device)
    if known:
        speedup = known[0] / result["ms_per_update"]
        result["reference"] = {"label": REFERENCE_LABEL, "ms": known, "speedup": speedup}
    print(row(result), flush=True)
    if options.parts:
        result["parts"] = measure_parts(workload, result["updates_per_block"], options.repeats, CLOCKS[options.clock])
        print(*part_rows(result["parts"]), sep="\n", flush=True)
    return result
