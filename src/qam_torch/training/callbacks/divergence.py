"""What a run tells of members that have diverged and are frozen."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from tqdm import tqdm

from qam_torch.algorithms import Algorithm

__all__ = ["Diverged"]


class Diverged:
    """Those known to have diverged: each is told once, and from then on no metric of its training is written."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}

    def look(self, algorithm: Algorithm) -> None:
        """Ask the algorithm, which reads the device."""
        for p, update in enumerate(algorithm.divergence.diverged_at()):
            if update is not None and p not in self.at:
                self.at[p] = update
                tqdm.write(f"{algorithm.name_of(p)} diverged at update {update:,}, and stays as it was")

    def without(self, values: Tensor) -> np.ndarray:
        """A metric (P,) on the host, nan of those that have diverged."""
        numbers = values.detach().double().cpu().numpy().copy()
        numbers[list(self.at)] = np.nan
        return numbers

    def columns(self, members: int) -> dict[str, np.ndarray]:
        """For metrics.csv, where anybody has: the update at which, nan for all others."""
        if not self.at:
            return {}
        return {"diverged": np.array([self.at.get(p, np.nan) for p in range(members)])}
