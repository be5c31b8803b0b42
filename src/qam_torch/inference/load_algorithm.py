"""Load the algorithm in a checkpoint, and find its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.addresses import Member, find_member, members_of
from qam_torch.algorithms.core.lookup import find_method
from qam_torch.algorithms.core.signatures import arguments_of_member
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.types import QamError

__all__ = ["load_algorithm", "member_index", "members_in"]


def load_algorithm(checkpoint: Mapping[str, Any], member: int | None = None) -> Algorithm:
    """Rebuild the algorithm of a checkpoint. A custom method outside the library is imported by its name.

    Args:
        checkpoint: content of a checkpoint file, see `read_checkpoint`.
        member: index of one member, which is loaded as a population of one; None loads all members.

    Raises:
        QamError: the member or the algorithm does not exist, or the parameters do not fit.
    """
    arguments = dict(checkpoint[SECTION]["arguments"])
    state = checkpoint["state_dict"]
    kind = _kind_of(checkpoint)
    if member is not None:
        member_index(checkpoint, member)
        arguments = arguments_of_member(kind, arguments, member)
    algorithm = kind(**arguments)
    algorithm.to(next(iter(state.values())).dtype)
    if member is not None:
        state = {name: value[member : member + 1] for name, value in state.items()}
    algorithm.normalization.allocate_for(state)
    if member is not None:  # a population of one may lack a network that its hyperparameters do not use
        state = {name: state[name] for name in algorithm.state_dict() if name in state}
    try:
        algorithm.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise QamError(f"the checkpoint's parameters do not fit its own settings ({reason}): use another one") from None
    return algorithm


def members_in(checkpoint: Mapping[str, Any]) -> list[Member]:
    """List the members of a checkpoint, in their order."""
    return members_of(_kind_of(checkpoint), checkpoint[SECTION]["arguments"])


def member_index(
    checkpoint: Mapping[str, Any], member: int | str | None, address: Mapping[str, float] | None = None
) -> int:
    """Find the index of one member of a checkpoint, see `find_member`."""
    return find_member(members_in(checkpoint), member, address)


def _kind_of(checkpoint: Mapping[str, Any]) -> type[Algorithm]:
    name = checkpoint[SECTION]["algorithm"]
    return find_method(name, f"the checkpoint's method {name}")
