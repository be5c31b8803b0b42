"""`qam-data get`: download published datasets."""

from __future__ import annotations

import argparse
from typing import Any

from qam_torch.cli.command import ListOf
from qam_torch.system.console import Bars, readable_size

__all__ = ["add_parser"]

DESCRIPTION = """\
Download datasets that OGBench publishes. Existing files are not downloaded again. After an interruption or a kill, the
same command continues. A file gets its final name only when it is complete. Its SHA-256 is written beside it to
NAME.npz.sha256, which `sha256sum --check` reads.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `get` to the command."""
    parser = subparsers.add_parser("get", help="download published datasets", description=DESCRIPTION)
    parser.add_argument(
        "names", action=ListOf, metavar="NAME", help="e.g. cube-triple-play-v0; `qam-data list` shows all"
    )
    parser.add_argument(
        "--mirror",
        action="append",
        metavar="URL",
        help="base address to download from instead of OGBench's; several, separated by commas or given by several "
        "options, are tried in this order (default: those in the environment variable QAM_DATA_MIRRORS)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Download the datasets one after another, and print the path, size and checksum of each."""
    from qam_torch.data.catalog import catalog_entry
    from qam_torch.data.dataset_files import dataset_checksum, dataset_path, training_files
    from qam_torch.data.fetching.download import fetch_dataset, mirror_urls, require_published

    given = [url for word in options.mirror or () for url in word.split(",")]
    entries, mirrors = [catalog_entry(name) for name in options.names], mirror_urls(given)
    for entry in entries:
        require_published(entry)
    for entry in entries:
        with Bars("B", unit_scale=True) as bars:
            fetch_dataset(entry, options.directory, mirrors, bars)
        path = dataset_path(entry.name, options.directory)
        size = sum(file.stat().st_size for file in training_files(entry, path))
        print(f"{path}  {readable_size(size)}  sha256 {dataset_checksum(path)}", flush=True)
    return 0
