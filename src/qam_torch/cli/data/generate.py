"""`qam-data generate`: generate datasets with OGBench's environments and oracles."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

from qam_torch.system.console import Bars

__all__ = ["add_parser"]

DESCRIPTION = """\
Generate a dataset with OGBench's environments and oracles, in OGBench's format: a training and a validation file. The
same name, seed and number of transitions give the same bytes for any number of workers. After an interruption or a
kill, the same command continues.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `generate` to the command."""
    parser = subparsers.add_parser("generate", help="generate datasets with OGBench's oracles", description=DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="cube, scene, puzzle or pointmaze; `qam-data list` shows all")
    parser.add_argument("--transitions", type=int, metavar="N", help="training transitions (default as published)")
    parser.add_argument("--workers", type=int, metavar="W", help="processes (default one per CPU)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="an integer >= 0 (default 0)")
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="the training file, or the directory of a dataset of many files "
        "(default DIR/NAME.generated-N-seedS.npz, where `qam-train` looks for it)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Generate the dataset unless it exists, and print the command that trains on it."""
    from qam_torch.data.catalog import catalog_entry
    from qam_torch.data.checksums import record_checksum
    from qam_torch.data.dataset_files import generated_path
    from qam_torch.data.generation.generate import generate
    from qam_torch.types import QamError

    entry = catalog_entry(options.name)
    transitions = entry.transitions if options.transitions is None else options.transitions
    named = generated_path(entry.name, options.directory, transitions, options.seed).absolute()
    path = named if options.output is None else Path(options.output).expanduser()
    if entry.shards == 1 and path.suffix != ".npz":
        raise QamError(f"--output {path} is not an .npz file: give a name that ends in .npz")
    path = path.absolute()
    started, made = time.perf_counter(), 0
    with Bars(" transitions") as bars:

        def progress(done: int, total: int) -> None:
            nonlocal made
            made = done
            bars(f"generating {entry.name}", done, total)

        new = generate(entry.name, path, transitions, options.seed, options.workers, progress, keep=True)
    if new:
        seconds = time.perf_counter() - started
        if path.is_file():
            record_checksum(path)
        print(f"{path}  {made} transitions in {seconds:.0f} s, {made / seconds:.0f} per second")
    elif path == named:
        print(f"{path} already exists: remove it to generate it again")
    else:
        raise QamError(f"{path} already exists without a record of its origin: remove it, or give another --output")
    command = ["qam-train", f"env={entry.name.removesuffix('-v0')}", f"data.path={path}"]
    print(f"train on it with: {shlex.join(command)}")
    return 0
