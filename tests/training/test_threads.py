"""How many CPU threads a run takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import torch

from qam_torch.config.composition import compose
from qam_torch.training.settings import read_settings
from qam_torch.training.threads import computing_threads

QUICK = ("experiment=quickstart",)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads(*words: str) -> AbstractContextManager[None]:
    settings = read_settings(compose([*QUICK, *words]))
    method, update = settings.method, settings.update
    return computing_threads(update.num_threads, method.hidden_widths, method.members * update.batch_size)


def taken(*words: str) -> int:
    with threads(*words):
        inside = torch.get_num_threads()
    assert torch.get_num_threads() == 2, "as before"
    return inside


def test_one_where_waking_the_others_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    assert taken() == taken("seeds=[1,2,3,4]") == 1
    assert "one CPU thread: OMP_WAIT_POLICY=passive" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["num_threads=2"],
        ["seeds=[1,2,3,4,5]"],
        ["seeds=[1,2]", "population.inv_temp=[1,2,3]"],
        ["batch_size=1024"],
        ["algo.value_hidden_dims=[512,512]"],
    ],
)
def test_torchs_own_choice_for_larger_updates_and_as_configured(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken(*words) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "1000")])
def test_threads_that_do_not_sleep_are_used(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert taken() == 2


def test_as_before_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), threads("num_threads=1"):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
