"""`qam-verify CASE.npz ...`: replay recorded reference runs through the library's ordinary classes, in float64.

A case holds parameters, batches and every random draw of a few updates of the reference implementation, and what came
out. The command prints, per case, the largest relative error of each group of quantities (error over the reference
array's largest entry). It fails if any exceeds the tolerance, or if the file holds a quantity that was not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from qam_torch.cli.command import Parser, run_command
from qam_torch.types import QamError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qam-verify`.

    Args:
        arguments: command-line arguments. The default is the arguments of the process.

    Returns:
        Exit status: 0 if every case passes, 1 otherwise. See also `run_command`.
    """
    return run_command("qam-verify", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    parser = Parser(prog="qam-verify", description=__doc__)
    parser.add_argument("cases", nargs="+", metavar="CASE.npz", help="files with recorded cases")
    parser.add_argument("--tolerance", type=float, metavar="X", help="largest relative error (default 1e-8)")
    options = parser.parse_args(arguments)
    from qam_torch.parity.replay import TOLERANCE  # torch only once the options are valid

    if options.tolerance is None:
        options.tolerance = TOLERANCE
    passed = sum([_verify(path, options.tolerance) for path in options.cases])
    print(f"{passed} of {len(options.cases)} cases within {options.tolerance:g}")
    return 0 if passed == len(options.cases) else 1


def _verify(path: str, tolerance: float) -> bool:
    """Replay one case, print its line, and return whether it passes."""
    from qam_torch.parity.replay import verify_case

    name = Path(path).stem
    try:
        report = verify_case(path)
    except QamError as error:
        print(f"{name:14} FAIL  {error}")
        return False
    passed = report.passed(tolerance)
    errors = "  ".join(f"{group} {error:.1e}" for group, error in report.errors.items())
    print(f"{name:14} {'ok  ' if passed else 'FAIL'}  {errors}")
    if report.unchecked:
        print(f"{'':20}not checked: {', '.join(report.unchecked[:5])}{' ...' * (len(report.unchecked) > 5)}")
    return passed


if __name__ == "__main__":
    sys.exit(main())
