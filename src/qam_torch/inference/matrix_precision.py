"""Set the precision of float32 matrix products on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["matrix_precision"]


@contextmanager
def matrix_precision(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Compute products of float32 matrices in TensorFloat-32 inside the block, and restore the precision afterwards.

    The block changes nothing on other devices than a GPU and for other dtypes than float32.

    Args:
        device: device of the updates or the policy.
        dtype: dtype of the networks.
    """
    if device.type != "cuda" or dtype != torch.float32:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
