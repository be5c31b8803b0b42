"""The options of `qam-bench`, and what is refused before anything is measured."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from qam_torch.bench.measure import CLOCKS
from qam_torch.bench.workload import PRESETS, Size, methods
from qam_torch.types import QamError, require

__all__ = ["parse"]

SIZES = "--preset"


def parse(arguments: Sequence[str], description: str | None) -> argparse.Namespace:
    """The options; `algo`, `preset` and `population` are lists, `hidden` a tuple.

    Raises QamError for whatever cannot be measured.
    """
    options = _parser(description).parse_args(arguments)
    known = methods(options.config_dir)
    options.algo, options.preset = _listed(options.algo, known), _listed(options.preset, list(PRESETS))
    _check_names("--algo", options.algo, known)
    _check(options)
    options.hidden = options.hidden and tuple(options.hidden)
    options.updates = None if options.updates == "auto" else int(options.updates)
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise QamError(f"{message}: see `qam-bench --help`")


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = _Parser(prog="qam-bench", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--algo", default=["qam"], help=f"{', '.join(methods())}; or all (default qam)", **several)  # type: ignore[arg-type]
    parser.add_argument(
        "--size",
        SIZES,
        dest="preset",
        default=["all"],
        help=f"{', '.join(PRESETS)}; or all (default all)",
        **several,  # type: ignore[arg-type]
    )
    parser.add_argument("--config-dir", metavar="DIR", help="where configs of your own are, such as algo/NAME.yaml")
    sizes = parser.add_argument_group("sizes, in place of the preset's")
    for name in Size._fields:
        shape = {"nargs": "+", "metavar": "WIDTH"} if name == "hidden" else {"metavar": "N"}
        sizes.add_argument(f"--{name.replace('_', '-')}", type=int, **shape)  # type: ignore[arg-type]
    parser.add_argument("--population", nargs="+", type=int, default=[1], metavar="P", help="members (default 1)")
    parser.add_argument("--updates", default="auto", metavar="N", help="updates in a block (default auto: two seconds)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="blocks (default 5)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--precision", default="full", help="full or bf16-mixed (default full)")
    parser.add_argument("--clock", default="wall", help="wall, or cpu where others use the machine (default wall)")
    parser.add_argument("--eager", action="store_true", help="do not capture the update")
    parser.add_argument("--compile", action="store_true", help="compile the update (needs a C++ compiler)")
    parser.add_argument("--parts", action="store_true", help="also time and count the parts of a recorded update")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    return parser


def _listed(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names separated by spaces or commas, without repeats; `all` stands for all that are known."""
    names = [name for word in given for name in word.split(",") if name]
    return list(dict.fromkeys(one for name in names for one in (known if name == "all" else [name])))


def _check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if not given:
        raise QamError(f"{what} names nothing: expected one of {', '.join(known)}")
    for name in given:
        if name not in known:
            raise QamError(f"unknown {what} '{name}': expected one of {', '.join(known)}")


def _check(options: argparse.Namespace) -> None:
    _check_names(SIZES, options.preset, list(PRESETS))
    _check_names("--device", [options.device], ["cpu", "cuda"])
    _check_names("--clock", [options.clock], list(CLOCKS))
    _check_names("--precision", [options.precision], ["full", "bf16-mixed"])
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
