"""How many CPU threads a run takes: one where a second does not help, torch's own choice elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import torch

from qam_torch.config.composition import compose
from qam_torch.inference.threads import computing_threads
from qam_torch.training.settings import read_settings

QUICK = ("experiment=quickstart",)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads(*words: str) -> AbstractContextManager[None]:
    settings = read_settings(compose([*QUICK, *words]))
    method, update = settings.method, settings.update
    rows = method.members * update.batch_size * method.options["num_qs"]
    return computing_threads(update.num_threads, method.hidden_widths, rows)


def taken(*words: str) -> int:
    with threads(*words):
        inside = torch.get_num_threads()
    assert torch.get_num_threads() == 2, "as before"
    return inside


SLEEPING, SPINNING = {"OMP_WAIT_POLICY": "PASSIVE"}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "spinning", "sleeping"),
    [
        ([], 1, 1),
        (["num_threads=2"], 2, 2),
        (["seeds=[1,2,3,4]"], 2, 1),
        (["batch_size=256", "algo.num_qs=10"], 2, 1),
        (["seeds=[1,2,3,4]", "population.inv_temp=[1,2,3,4]"], 2, 2),
        (["algo.value_hidden_dims=[512,512]"], 2, 2),
    ],
)
def test_one_where_a_second_does_not_help(
    words: list[str], spinning: int, sleeping: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variables, count in (({}, spinning), (SPINNING, spinning), (SLEEPING, sleeping)):
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert taken(*words) == count, variables


def test_as_before_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), threads("num_threads=1"):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
