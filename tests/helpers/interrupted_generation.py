"""`python unfinished.py PATH`: a slow generation with two workers, to be ended from outside.

It prints a line for each episode. Its workers share its standard error, which is at its end when all of them are gone.
"""

from __future__ import annotations

import sys
import time

from qam_torch.data.generation.generate import generate


def say(made: int, total: int) -> None:
    """Print, and leave time to be ended."""
    print(made, flush=True)
    time.sleep(0.2)


if __name__ == "__main__":
    generate("pointmaze-medium-stitch-v0", sys.argv[1], transitions=6000, workers=2, progress=say)
