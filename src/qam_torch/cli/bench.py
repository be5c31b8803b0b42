"""`qam-bench`: updates per second and arithmetic rate of a method, against the machine's measured peak."""

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
from typing import TYPE_CHECKING, Any

from qam_torch.cli.command import ListOf, Parser, run_command
from qam_torch.types import QamError, require

if TYPE_CHECKING:
    import torch

    from qam_torch.bench.sizes import Size

__all__ = ["main"]

DESCRIPTION = """\
Updates per second and arithmetic rate of a method, against the machine's measured peak.

A measured block makes U updates as in training: it draws the noise of U batches, makes the updates, and computes all
metrics at the last update only. The transitions are synthetic. The sampling of batches and the Trainer are not
included.

The arithmetic rate counts matrix products only. The peak is the best rate of large square products in the same
precision, measured directly before and after the updates. Both rates vary if other processes use the machine.
"""

CLOCKS = ("wall", "cpu")
PRECISIONS = ("float32", "bf16-mixed")
CAPTURE: dict[str, bool | str] = {"auto": "auto", "true": True, "false": False}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-bench`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status, see `run_command`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command("qam-bench", lambda: _run(words), memory_hint="lower --population or --batch-size")


def _run(words: Sequence[str]) -> int:
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()
    options = _parse(words)
    import torch  # late, so that wrong options are reported quickly

    if options.device == "cuda" and not torch.cuda.is_available():
        raise QamError("--device cuda needs a GPU that torch can use, and there is none: use --device cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads or threads)
    try:
        results = {"command": shlex.join(["qam-bench", *words]), **_measure(options)}
    finally:
        torch.set_num_threads(threads)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every combination of the options, printing each result immediately."""
    import torch

    from qam_torch.inference.matrix_precision import matrix_precision

    device = torch.device(options.device)
    with matrix_precision(device, torch.float32):
        return _measure_all(options, device)


def _measure_all(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    import torch

    from qam_torch.bench.benchmark import Benchmark
    from qam_torch.bench.measure import machine_info
    from qam_torch.bench.table import COLUMNS, format_parts, format_row
    from qam_torch.inference.threads import threads_sleep

    about = machine_info(device)
    print(", ".join(f"{name} {about[name]}" for name in ("device", "cpu", "cores", "threads", "torch")))
    if threads_sleep() and torch.get_num_threads() > 1:
        print("OMP_WAIT_POLICY=passive: small updates are faster with --threads 1, which qam-train uses there")
    print(COLUMNS, flush=True)
    bench = Benchmark(
        options.device, options.precision, options.clock, not options.eager, CAPTURE[options.capture], options.compile,
        options.config_dir,
    )  # fmt: skip
    results = []
    for algo, preset, population in itertools.product(options.algo, options.preset, options.population):
        workload = bench.workload(algo, _size(preset, options), population)
        result = bench.run(workload, preset, options.updates, options.repeats)
        print(format_row(result), flush=True)
        if options.parts:
            result["parts"] = bench.run_parts(workload, result["updates_per_block"], options.repeats)
            print(*format_parts(result["parts"]), sep="\n", flush=True)
        results.append(result)
    highest, lowest = max(bench.peaks) / 1e9, min(bench.peaks) / 1e9
    print(f"peak {highest:.1f} GFLOP/s, the lowest of {len(bench.peaks)} measurements {lowest:.1f}")
    if any(_size(preset, options) != _size(preset, None) for preset in options.preset):
        print("* sizes other than those of --size NAME")
    return {"machine": about, "results": results}


def _size(preset: str, options: argparse.Namespace | None) -> Size:
    """Sizes of a preset. Those given as options replace the preset's."""
    from qam_torch.bench.sizes import PRESETS, Size

    given = {name: getattr(options, name, None) for name in Size._fields}
    return PRESETS[preset]._replace(**{name: value for name, value in given.items() if value is not None})


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; `algo`, `preset` and `population` are lists, `hidden` a tuple.

    Raises:
        QamError: an option is invalid.
    """
    from qam_torch.bench.sizes import PRESETS, method_names

    options = _parser().parse_args(arguments)
    known = method_names(options.config_dir)
    options.algo, options.preset = _expand(options.algo, known), _expand(options.preset, list(PRESETS))
    _check_names("--algo", options.algo, known)
    _check(options)
    options.hidden = options.hidden and tuple(options.hidden)
    options.updates = None if options.updates == "auto" else int(options.updates)
    return options


def _parser() -> Parser:
    from qam_torch.bench.sizes import PRESETS, Size, method_names

    parser = Parser(prog="qam-bench", description=DESCRIPTION)
    add = parser.add_argument
    algos, presets = ", ".join(method_names()), ", ".join(PRESETS)
    add("--algo", action=ListOf, default=["qam"], metavar="NAME", help=f"{algos}; or all (default qam)")
    add(
        "--size", action=ListOf, dest="preset", default=["all"], metavar="NAME", help=f"{presets}; or all (default all)"
    )
    add("--config-dir", metavar="DIR", help="directory with custom configs, such as algo/NAME.yaml")
    sizes = parser.add_argument_group("single sizes, replacing those of --size")
    for name in Size._fields:
        option = f"--{name.replace('_', '-')}"
        if name == "hidden":
            sizes.add_argument(option, action=ListOf, kind=int, metavar="WIDTH")
        else:
            sizes.add_argument(option, type=int, metavar="N")
    add("--population", action=ListOf, kind=int, default=[1], metavar="P", help="members (default 1)")
    add("--updates", default="auto", metavar="N", help="updates per block (default auto: as many as take two seconds)")
    add("--repeats", type=int, default=5, metavar="N", help="measured blocks (default 5)")
    add("--threads", type=int, metavar="N", help="CPU threads (default torch's choice)")
    add("--device", default="cpu", help="cpu or cuda (default cpu)")
    add("--precision", default="float32", help="float32 or bf16-mixed (default float32)")
    add("--clock", default="wall", help="wall time, or cpu time if other processes use the machine (default wall)")
    add("--capture", default="auto", help="run the update as a CUDA graph: true, false or auto (default auto)")
    add("--eager", action="store_true", help="do not record and replay the update")
    add("--compile", action="store_true", help="compile the update (needs a C++ compiler)")
    add("--parts", action="store_true", help="also measure time and operations of each part of the update")
    add("--json", type=Path, metavar="FILE", help="write all results to this file")
    return parser


def _expand(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names without repeats; `all` means all known ones."""
    return list(dict.fromkeys(one for name in given for one in (known if name == "all" else [name])))


def _check_names(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise QamError(f"unknown {option} '{name}': expected one of {', '.join(known)}")


def _check(options: argparse.Namespace) -> None:
    from qam_torch.bench.sizes import PRESETS, Size

    _check_names("--size", options.preset, list(PRESETS))
    _check_names("--device", [options.device], ["cpu", "cuda"])
    _check_names("--clock", [options.clock], CLOCKS)
    _check_names("--capture", [options.capture], list(CAPTURE))
    _check_names("--precision", [options.precision], PRECISIONS)
    for name in (*Size._fields, "population", "repeats", "threads"):
        value = getattr(options, name)
        values = value if isinstance(value, list) else [1 if value is None else value]
        require(f"--{name.replace('_', '-')}", all(v >= 1 for v in values), value, "integers >= 1")
    if options.clock == "cpu" and (options.threads != 1 or options.device != "cpu"):
        raise QamError("--clock cpu measures one thread on the CPU: give --threads 1 and leave out --device cuda")
    if options.updates != "auto":
        require("--updates", options.updates.isdecimal() and int(options.updates) >= 1, options.updates, "auto or >= 1")
    if options.compile and (options.eager or options.device != "cpu" or shutil.which("g++") is None):
        raise QamError("--compile requires --device cpu, recorded updates and g++: leave out --eager, or install g++")
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        raise QamError(f"--json {options.json} cannot be written: give a file in an existing, writable directory")
