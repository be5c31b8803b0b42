"""`qam-bench`: updates per second and arithmetic rate of a method, against the machine's measured peak.

What is timed is what training does between two looks at the trainer: drawing the noise of U stacked batches and
making U updates, with every metric computed at the last one only. The transitions are synthetic, and neither sampling
of batches nor the Trainer is included.

The arithmetic rate counts matrix products only. The peak is the best rate of large square products in the update's
precision, measured right before and right after; on a machine that others use too, neither figure means much.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from qam_torch.bench.benchmark import Benchmark
from qam_torch.bench.measure import CLOCKS, machine_info
from qam_torch.bench.table import COLUMNS, format_parts, format_row
from qam_torch.bench.workload import PRESETS, Size, method_names
from qam_torch.cli.command import Parser, run_command
from qam_torch.system.import_path import include_working_directory
from qam_torch.training.threads import threads_sleep
from qam_torch.types import QamError, require

__all__ = ["main"]

SIZES = "--size"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-bench`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status: 0, 1 after printing an error in one line, 130 after Ctrl-C.
    """
    words, threads = list(sys.argv[1:] if arguments is None else arguments), torch.get_num_threads()
    try:
        return run_command("qam-bench", lambda: _run(words, threads))
    finally:
        torch.set_num_threads(threads)


def _run(words: Sequence[str], threads: int) -> int:
    include_working_directory()
    options = _parse(words)
    torch.set_num_threads(options.threads or threads)
    try:
        found = {"command": shlex.join(["qam-bench", *words]), **_measure(options)}
    except torch.OutOfMemoryError:
        raise QamError("the GPU's memory does not hold it: lower --population or --batch-size") from None
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every combination of the options, printing each as soon as it is known."""
    about = machine_info(torch.device(options.device))
    print(", ".join(f"{name} {about[name]}" for name in ("device", "cpu", "cores", "threads", "torch")))
    if threads_sleep() and torch.get_num_threads() > 1:
        print("OMP_WAIT_POLICY=passive: small updates are faster with --threads 1, which qam-train takes there")
    print(COLUMNS, flush=True)
    overrides = {name: value for name in Size._fields if (value := getattr(options, name)) is not None}
    bench = Benchmark(
        options.device, options.precision, options.clock, not options.eager, options.compile, options.config_dir
    )
    results = []
    for algo, preset, population in itertools.product(options.algo, options.preset, options.population):
        size = PRESETS[preset]._replace(**overrides)
        workload = bench.workload(algo, size, population)
        result = bench.run(workload, preset, options.updates, options.repeats)
        print(format_row(result), flush=True)
        if options.parts:
            result["parts"] = bench.run_parts(workload, result["updates_per_block"], options.repeats)
            print(*format_parts(result["parts"]), sep="\n", flush=True)
        results.append(result)
    best, least = max(bench.peaks) / 1e9, min(bench.peaks) / 1e9
    print(f"peak {best:.1f} GFLOP/s, the lowest of {len(bench.peaks)} measurements {least:.1f}")
    if overrides:
        print("* other sizes than the preset's own")
    return {"machine": about, "results": results}


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; `algo`, `preset` and `population` are lists, `hidden` a tuple.

    Raises:
        QamError: the options cannot be measured.
    """
    options = _parser().parse_args(arguments)
    known = method_names(options.config_dir)
    options.algo, options.preset = _expand(options.algo, known), _expand(options.preset, list(PRESETS))
    _check_names("--algo", options.algo, known)
    _check(options)
    options.hidden = options.hidden and tuple(options.hidden)
    options.updates = None if options.updates == "auto" else int(options.updates)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="qam-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several: Any = {"nargs": "+", "metavar": "NAME"}
    algos, presets = ", ".join(method_names()), ", ".join(PRESETS)
    parser.add_argument("--algo", default=["qam"], help=f"{algos}; or all (default qam)", **several)
    parser.add_argument(
        SIZES, dest="preset", default=["all"], help=f"{presets}; or all (default all)", **several
    )
    parser.add_argument("--config-dir", metavar="DIR", help="where configs of your own are, such as algo/NAME.yaml")
    sizes = parser.add_argument_group("sizes, in place of the preset's")
    for name in Size._fields:
        shape: Any = {"nargs": "+", "metavar": "WIDTH"} if name == "hidden" else {"metavar": "N"}
        sizes.add_argument(f"--{name.replace('_', '-')}", type=int, **shape)
    parser.add_argument("--population", nargs="+", type=int, default=[1], metavar="P", help="members (default 1)")
    parser.add_argument("--updates", default="auto", metavar="N", help="updates in a block (default auto: two seconds)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="blocks (default 5)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--precision", default="float32", help="float32 or bf16-mixed (default float32)")
    parser.add_argument("--clock", default="wall", help="wall, or cpu where others use the machine (default wall)")
    parser.add_argument("--eager", action="store_true", help="do not capture the update")
    parser.add_argument("--compile", action="store_true", help="compile the update (needs a C++ compiler)")
    parser.add_argument("--parts", action="store_true", help="also time and count the parts of a recorded update")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    return parser


def _expand(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names separated by spaces or commas, without repeats; `all` stands for all that are known."""
    names = [name for word in given for name in word.split(",") if name]
    return list(dict.fromkeys(one for name in names for one in (known if name == "all" else [name])))


def _check_names(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    if not given:
        raise QamError(f"{option} names nothing: expected one of {', '.join(known)}")
    for name in given:
        if name not in known:
            raise QamError(f"unknown {option} '{name}': expected one of {', '.join(known)}")


def _check(options: argparse.Namespace) -> None:
    _check_names(SIZES, options.preset, list(PRESETS))
    _check_names("--device", [options.device], ["cpu", "cuda"])
    _check_names("--clock", [options.clock], list(CLOCKS))
    _check_names("--precision", [options.precision], ["float32", "bf16-mixed"])
    if options.device == "cuda" and not torch.cuda.is_available():
        raise QamError("--device cuda needs a GPU that torch can see, and there is none: use --device cpu")
    for name in (*Size._fields, "population", "repeats", "threads"):
        value = getattr(options, name)
        values = value if isinstance(value, list) else [1 if value is None else value]
        require(f"--{name.replace('_', '-')}", all(v >= 1 for v in values), value, "integers >= 1")
    if options.clock == "cpu" and (options.threads != 1 or options.device != "cpu"):
        raise QamError("--clock cpu is the time of one thread on the CPU: give --threads 1 and leave out --device cuda")
    if options.updates != "auto":
        require("--updates", options.updates.isdecimal() and int(options.updates) >= 1, options.updates, "auto or >= 1")
    if options.compile and (options.eager or options.device != "cpu" or shutil.which("g++") is None):
        raise QamError("--compile is for captured updates on a CPU with g++: leave out --eager, or install g++")
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        raise QamError(f"--json {options.json} cannot be written: give a file in an existing, writable directory")
