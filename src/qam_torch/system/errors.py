"""Describe errors that a user can act on in one sentence."""

from __future__ import annotations

from qam_torch.types import QamError

__all__ = ["RUN_MEMORY", "sentence_of"]

RUN_MEMORY = "lower batch_size, or train fewer members"
"""Advice if the memory is full during a run."""


FULL_GPU = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Texts in errors of GPU libraries that show that the GPU's memory is full."""


def sentence_of(error: BaseException, memory: str) -> str | None:
    """Return the sentence for an error that a user can act on; None for a bug in the library.

    Args:
        error: an error of any type.
        memory: advice to append if the memory is full.
    """
    reason = " ".join(str(error).split())
    # OutOfMemoryError is recognized by its name, because torch is not imported here. On the CPU and in GPU libraries,
    # torch raises a plain RuntimeError.
    of_torch = isinstance(error, RuntimeError)
    on_gpu = type(error).__name__ == "OutOfMemoryError" or (of_torch and any(sign in reason for sign in FULL_GPU))
    if on_gpu or isinstance(error, MemoryError) or (of_torch and "can't allocate memory" in reason):
        device = "the GPU's memory" if on_gpu else "the memory"
        return f"{device} is full{f' ({reason[:120]})' if reason else ''}: {memory}"
    return str(error) if isinstance(error, (QamError, OSError)) else None
