"""The precision of float32 matrix products on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["matrix_precision"]


@contextmanager
def matrix_precision(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Let a GPU compute products of float32 matrices in TensorFloat-32; afterwards, in the precision of before.

    Args:
        device: where updates or policies are computed.
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
