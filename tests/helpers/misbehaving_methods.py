"""Methods that equal QAM, except for one misbehavior during the run. Tests copy this file beside their runs."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import gymnasium
import ogbench  # noqa: F401 (registers its environments)

from qam_torch.algorithms import QAM
from qam_torch.types import QamError

for name, spec in gymnasium.registry.items():
    if name.startswith("pointmaze-medium"):
        spec.max_episode_steps = 30  # evaluations of whole episodes cost seconds


class Telling(QAM):
    """Says what of the machine it was given."""

    def update(self, *arguments: Any, **options: Any) -> Any:
        self.recorded = False  # recording costs seconds
        return super().update(*arguments, **options)

    def configure_optimizers(self) -> Any:
        print("given", os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("OMP_NUM_THREADS"), flush=True)
        return super().configure_optimizers()


class Failing(Telling):
    """Ends the run with a sentence."""

    def configure_optimizers(self) -> Any:
        raise QamError("the sky has fallen: put it back")


class Mistaken(Telling):
    """Ends the run with an error of the library's."""

    def configure_optimizers(self) -> Any:
        raise KeyError("an unexpected error")


class Dying(Telling):
    """Dies, as a process does that takes more memory than there is."""

    def configure_optimizers(self) -> Any:
        super().configure_optimizers()
        os.kill(os.getpid(), signal.SIGKILL)


class Slow(Telling):
    """Takes its time."""

    def update(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.2)
        return super().update(*arguments, **options)
