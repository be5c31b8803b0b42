"""`qam-data check FILE...`: check data files for errors."""

from __future__ import annotations

import argparse
import json
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import gymnasium

    from qam_torch.data.inspection.environment_match import Extent
    from qam_torch.data.inspection.findings import Finding

__all__ = ["add_parser"]

_WIDTH = 100


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand `check` to the command."""
    parser = subparsers.add_parser(
        "check",
        help="check data files for errors",
        description="Check data files for errors. The exit status is 1 if any file has an error; notes are harmless.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, directory of shards, or dataset name")
    parser.add_argument(
        "--env", metavar="NAME", help="dataset whose environment the files should fit (default: from the file names)"
    )
    parser.add_argument("--json", action="store_true", help="print findings as JSON instead of tables")
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Check every file and print the findings.

    Args:
        arguments: parsed options `files`, `env`, `json` and `directory`.

    Returns:
        1 if any file has an error, 0 otherwise.

    Raises:
        QamError: a file or an environment does not exist.
    """
    from qam_torch.cli.data.locate import files_of

    files = [file for given in arguments.files for file in files_of(given, arguments.directory)]
    counted: list[tuple[Path, list[Finding]]] = []
    for file in dict.fromkeys(files):
        findings = _check_file(file, arguments.env)
        counted.append((file, findings))
        if not arguments.json:
            print(_table(file, findings), flush=True)
    bad = [file for file, findings in counted if _count(findings, "error")]
    if arguments.json:
        print(json.dumps([{"file": str(file), **one._asdict()} for file, all_ in counted for one in all_], indent=1))
    elif len(counted) > 1:
        print(f"{len(counted) - len(bad)} of {len(counted)} files without errors")
    return 1 if bad else 0


class _Fit(NamedTuple):
    """The environment that a file should fit, and the extent of its maze, or None without a maze."""

    environment: gymnasium.Env
    extent: Extent | None


@cache
def _fit(name: str) -> _Fit:
    """Create the environment of a dataset name. All shards of the dataset share it."""
    from qam_torch.envs.maze import maze_layout
    from qam_torch.envs.ogbench import make_environment
    from qam_torch.types import QamError

    environment = make_environment(name)
    try:
        return _Fit(environment, maze_layout(environment).extent)
    except QamError:
        return _Fit(environment, None)


def _check_file(file: Path, given: str | None) -> list[Finding]:
    from qam_torch.cli.data.locate import data_set_name
    from qam_torch.data.catalog import CATALOG
    from qam_torch.data.inspection.checks import inspect_file
    from qam_torch.data.inspection.findings import Finding
    from qam_torch.types import QamError

    named = data_set_name(file)
    name = given or named
    try:
        fit = _fit(name) if name else None
    except QamError:
        if given:
            raise
        fit = None
    if fit is None:
        unknown = Finding("environment", "note", "not known from the file's name: give --env NAME to check its sizes")
        return [*inspect_file(file), unknown]
    return inspect_file(file, fit.environment, CATALOG.get(named or ""), fit.extent)


def _count(findings: list[Finding], level: str) -> int:
    return sum(finding.level == level for finding in findings)


def _table(file: Path, findings: list[Finding]) -> str:
    """Format one wrapped line per finding, and the verdict."""
    lines = [str(file)]
    for check, level, text in findings:
        start = f"  {check:12} {'ERROR' if level == 'error' else level:6} "
        first, *rest = textwrap.wrap(text, _WIDTH - len(start), break_on_hyphens=False)
        lines += [start + first, *(" " * len(start) + line for line in rest)]
    errors, notes = _count(findings, "error"), _count(findings, "note")
    noted = f"{notes} note{'s' * (notes != 1)}"
    verdict = (
        f"no error, {noted}" if not errors else f"{errors} error{'s' * (errors != 1)}, {noted}: do not train on it"
    )
    return "\n".join([*lines, f"  {'verdict':12} {'ERROR' if errors else 'ok':6} {verdict}", ""])
