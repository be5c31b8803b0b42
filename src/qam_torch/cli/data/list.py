"""`qam-data list`: list all datasets, and where each is or can be obtained."""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qam_torch.system.console import readable_size

if TYPE_CHECKING:
    from qam_torch.data.catalog import CatalogEntry

__all__ = ["add_parser"]

DESCRIPTION = """\
List OGBench's datasets with vector observations, and where each is or can be obtained:
  on disk, 1.2 GB          the published files are in the data directory
  made 200000, seed 0      generated files are in the data directory
  download                 `qam-data get NAME` downloads the published files
  generate                 `qam-data generate NAME` generates one with OGBench's oracle
"""

ROW = "{:35}  {:>11}  {:>16}  {:>5}  {}"


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `list` to the command."""
    parser = subparsers.add_parser(
        "list", help="datasets, and where each is or can be obtained", description=DESCRIPTION
    )
    parser.add_argument(
        "pattern", nargs="?", default="", metavar="PATTERN", help="part of the name, e.g. 'maze*stitch'"
    )
    parser.add_argument("--json", action="store_true", help="print all fields as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the datasets whose names match the pattern."""
    from qam_torch.data.catalog import CATALOG
    from qam_torch.types import QamError

    found = [entry for name, entry in CATALOG.items() if fnmatch.fnmatchcase(name, f"*{options.pattern}*")]
    if not found:
        raise QamError(f"no dataset name contains '{options.pattern}': `qam-data list` shows all")
    directory = Path(options.directory).expanduser().absolute()
    rows = [_about(entry, directory) for entry in found]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(ROW.format("name", "transitions", "episodes x steps", "files", "where"))
    for row in rows:
        shape = f"{row['episodes']:,} x {row['steps']:,}"
        print(ROW.format(row["name"], f"{row['transitions']:,}", shape, row["files"], _where(row)))
    print(f"{len(rows)} datasets; files are searched in {directory}")
    return 0


def _about(entry: CatalogEntry, directory: Path) -> dict[str, Any]:
    """Describe a dataset in types that JSON can store. The file counts include training and validation files."""
    from qam_torch.data.dataset_files import generated_files

    there = [directory / file for file in entry.files if (directory / file).is_file()]
    return {
        "name": entry.name,
        "environment": entry.environment,
        "transitions": entry.transitions,
        "episodes": entry.episodes * entry.shards,
        "steps": entry.steps,
        "files": len(entry.files),
        "files_on_disk": len(there),
        "bytes_on_disk": sum(file.stat().st_size for file in there),
        "generated": [
            {"path": str(path), "transitions": transitions, "seed": seed}
            for path, transitions, seed in generated_files(entry, directory)
        ],
        "download": entry.published,
        "generate": entry.generated_by_oracle,
    }


def _where(row: dict[str, Any]) -> str:
    """Describe where the dataset is or how it can be obtained."""
    if row["files_on_disk"] == row["files"]:
        return f"on disk, {readable_size(row['bytes_on_disk'])}"
    if row["files_on_disk"]:
        return f"{row['files_on_disk']} of its files on disk"
    if row["generated"]:
        first, *more = row["generated"]
        return f"made {first['transitions']}, seed {first['seed']}" + (f" +{len(more)}" if more else "")
    if row["generate"]:
        return "download or generate" if row["download"] else "generate"
    return "download (expert data)"
