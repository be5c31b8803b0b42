"""`qam-export CKPT [--format onnx] [--output FILE] ...`: write a checkpoint's policy for other programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from qam_torch.cli.command import Parser, run_command
from qam_torch.types import QamError

__all__ = ["main"]

DESCRIPTION = """\
Write a checkpoint's policy to a file, with the noise of action selection as an input and its provenance as metadata.
"""

FORMATS = ("pt2", "onnx", "safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-export`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status, see `run_command`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command("qam-export", lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    options = _parser().parse_args(words)
    # torch only once the options are valid
    from qam_torch.export import export_policy
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()
    member = int(options.member) if options.member is not None and options.member.isdecimal() else options.member
    try:
        path = export_policy(options.ckpt, options.format, options.output, member)
    except QamError as error:
        raise QamError(re.sub(r"\bmember=", "--member ", str(error))) from None
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="qam-export", description=DESCRIPTION)
    add = parser.add_argument
    add("ckpt", metavar="CKPT", help="a .ckpt file, or a run directory, whose last checkpoint is used")
    add("--format", choices=FORMATS, default="onnx", help="onnx: a model for ONNX Runtime; pt2: a program for "
        "torch.export.load; safetensors: the networks' weights only (default onnx)")  # fmt: skip
    add(
        "--member", metavar="M", help="which member of a population: its index, or an address such as seed=2,inv_temp=3"
    )
    add("--output", type=Path, metavar="FILE", help="the file (default beside the checkpoint, with its name)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
