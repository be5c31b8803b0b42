"""Read replay.bin, the transitions that a run has collected online."""

from pathlib import Path

import numpy as np


def replay(path, P=1, E=2, obs=2, A=2):
    d = np.dtype(
        [
            ("o", "f4", (P, E, obs)),
            ("a", "f4", (P, E, A)),
            ("r", "f8", (P, E)),
            ("m", "f4", (P, E)),
            ("b", "?", (P, E)),
            ("n", "f4", (P, E, obs)),
        ]
    )
    raw = Path(path).read_bytes()
    assert len(raw) % d.itemsize == 0, (len(raw), d.itemsize)
    return np.frombuffer(raw, d)
