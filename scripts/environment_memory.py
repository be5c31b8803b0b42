"""Memory per environment, measured with ten environments that are made and reset.

python scripts/environment_memory.py [ENVIRONMENT ...]
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from qam_torch.envs.ogbench import make_environment

COUNT = 10
EXAMPLES = ("pointmaze-medium-navigate-v0", "cube-single-play-v0")


def resident_megabytes() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """A line for each environment."""
    for name in sys.argv[1:] or EXAMPLES:
        make = partial(make_environment, name, task=1)
        made = [make()]
        made[0].reset(seed=0)  # what the first brings with it is not counted
        before = resident_megabytes()
        for seed in range(COUNT):
            made.append(make())
            made[-1].reset(seed=seed)
        print(f"{name}: {(resident_megabytes() - before) / COUNT:.1f} MB")


if __name__ == "__main__":
    main()
