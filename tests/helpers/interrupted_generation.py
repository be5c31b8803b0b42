"""`python interrupted_generation.py PATH`: a slow generation with two workers, to be killed by a test.

It prints one line per episode. Its workers share its standard error, which is closed when all of them have ended.
"""

from __future__ import annotations

import sys
import time

from qam_torch.data.generation.generate import generate


def say(made: int, total: int) -> None:
    """Print, and leave time for a kill."""
    print(made, flush=True)
    time.sleep(0.2)


if __name__ == "__main__":
    generate("pointmaze-medium-stitch-v0", sys.argv[1], transitions=6000, workers=2, progress=say)
