"""Make an empty directory for a run that does not continue an earlier run."""

from __future__ import annotations

from qam_torch.rundir.paths import RunPaths
from qam_torch.system.files import prepare_directory

__all__ = ["move_earlier_run_aside"]


def move_earlier_run_aside(paths: RunPaths) -> None:
    """Rename the directory of an earlier run to NAME.old-1, NAME.old-2, ..., and make an empty directory."""
    if not paths.config.exists():
        return
    directory, number = paths.directory, 1
    while (kept := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    directory.rename(kept)
    print(f"an earlier run of this name is kept as {kept}")
    prepare_directory(directory)
