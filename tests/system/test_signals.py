"""Signals that end the process: raised, left to the user, or received where the work can be left."""

from __future__ import annotations

import signal

import pytest

from qam_torch.system.signals import Ending, Terminated, termination_raises


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_raised_inside_the_block_only(number: signal.Signals, status: int) -> None:
    with termination_raises(), termination_raises(), pytest.raises(Terminated, match=f"by {number.name}$") as caught:
        signal.raise_signal(number)
    assert caught.value.status == status
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with termination_raises():
            ending = Ending()
            ending.begin()
            signal.raise_signal(signal.SIGHUP)
            assert not ending.due
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_waits_for_a_check_and_further_ones_change_nothing() -> None:
    with termination_raises():
        ending = Ending()
        ending.begin()
        ending.check()
        signal.raise_signal(signal.SIGTERM)
        assert ending.due
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Terminated, match="by SIGTERM"):
            ending.check()


def test_a_signal_that_came_before_a_block_does_not_wait_for_its_end() -> None:
    with termination_raises():
        ending = Ending()
        ending.begin()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Terminated), ending.at_once():
            pytest.fail("the block ran")


def test_a_signal_does_not_wait_inside_a_block() -> None:
    with termination_raises():
        ending = Ending()
        ending.begin()
        with pytest.raises(Terminated), ending.at_once():
            signal.raise_signal(signal.SIGTERM)
