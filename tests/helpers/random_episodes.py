"""Random transitions whose states say where they came from."""

from __future__ import annotations

import numpy as np
import torch

from qam_torch.data.transitions import Transitions


def episodes(lengths: list[int], seed: int = 0, dtype: torch.dtype = torch.float64) -> Transitions:
    """Random transitions; raw rows are numbered, so a state says where it came from."""
    rng = np.random.default_rng(seed)
    terminals = np.concatenate([np.arange(length + 1) == length for length in lengths])
    rows, count = len(terminals), sum(lengths)
    raw = {
        "observations": np.stack([np.arange(rows), rng.normal(size=rows)], axis=1),
        "actions": rng.uniform(-0.9, 0.9, size=(rows, 2)),
        "terminals": terminals,
    }
    rewards, masks = rng.normal(size=count), (rng.random(count) > 0.2).astype(np.float64)
    return Transitions.from_ogbench(raw, rewards, masks, dtype=dtype)
