"""Sizes and methods that `qam-bench` can measure. This module does not import torch."""

from __future__ import annotations

import os
from typing import NamedTuple

from qam_torch.config.groups import options_of, with_config_directory

__all__ = ["PRESETS", "Size", "method_names"]


class Size(NamedTuple):
    """Sizes that determine the cost of an update, with the names of the algorithms' arguments.

    Methods without `flow_steps` ignore it. Sizes of a single method, such as IFQL's 32 candidates, come from its
    config.
    """

    observation_dim: int
    action_dim: int
    horizon_length: int
    hidden: tuple[int, ...]
    num_qs: int
    batch_size: int
    flow_steps: int


PRESETS = {
    "small": Size(2, 2, 5, (128, 128), 2, 128, 5),
    "medium": Size(46, 5, 5, (128, 128), 10, 256, 10),
    "paper": Size(46, 5, 5, (512, 512, 512, 512), 10, 256, 10),
}


def method_names(config_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Every `algo=NAME`, including those in a directory with custom configs."""
    return options_of("algo", with_config_directory([], config_dir))
