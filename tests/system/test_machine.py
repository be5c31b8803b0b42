"""Garbage: only objects of a block are searched, and what the application has frozen stays frozen."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from qam_torch.system.machine import garbage_since


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def is_free(reference: weakref.ref[Cycle]) -> bool:
    return reference() is None


@pytest.fixture(autouse=True)
def only_by_hand() -> Iterator[None]:
    """No collection but those of the test, and nothing frozen at its start; see `few_objects_to_collect`."""
    gc.unfreeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_a_cycle_is_freed_inside_if_it_was_made_inside_and_afterwards_otherwise() -> None:
    before = weakref.ref(Cycle())
    with garbage_since() as collect:
        inside = weakref.ref(Cycle())
        collect()
        assert is_free(inside) and not is_free(before)
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert is_free(before)


def test_nothing_stays_frozen_after_an_exception() -> None:
    with pytest.raises(LookupError), garbage_since():
        assert gc.get_freeze_count() > 0
        raise LookupError
    assert gc.get_freeze_count() == 0


def test_what_the_application_has_frozen_stays_frozen() -> None:
    frozen = weakref.ref(Cycle())
    gc.freeze()
    count = gc.get_freeze_count()
    with garbage_since() as collect:
        inside = weakref.ref(Cycle())
        collect()
        assert is_free(inside)
    gc.collect()
    assert not is_free(frozen)
    assert abs(gc.get_freeze_count() - count) < 100, "a frozen object may be freed by its last reference"
    with pytest.raises(LookupError), garbage_since():
        raise LookupError
    assert gc.get_freeze_count() > count - 100
