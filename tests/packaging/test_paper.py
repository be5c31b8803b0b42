"""`experiment=paper` is the published run of every method on every task: the authors' tuned values and nothing else.

paper_hyperparameters.csv holds those values under the reference's own names (Li & Levine 2026, arXiv 2601.14234;
derived from the authors' released experiment data, MIT license), rql_hyperparameters.csv those of RQL (Oberai, Park &
Levine 2026, arXiv 2606.17551; from the authors' released commands).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as compose_unresolved
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from qam_torch import compose
from qam_torch.paper import ALGOS
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError
from tests.packaging.test_conf import CONF, PAPER, composed, options

NAMES = {
    "fql": {"alpha": "fql_alpha"},
    "fbrac": {"alpha": "fbrac_alpha"},
    "rql": {"alpha": "bc_alpha", "expectile": "kappa"},
} | dict.fromkeys(("qsm", "dac"), {"alpha": "bc_alpha"})

SAID_BY_THE_CLASS = {
    "cgql": {"mode": "simple"},
    "cgql_mse": {"mode": "mse"},
    "cgql_linex": {"mode": "linex"},
    "qsm": {"actor_loss_type": "qsm", "clip_sampler_before": "False", "clip_sampler_after": "True"},
    "dac": {"actor_loss_type": "dac", "clip_sampler_before": "True", "clip_sampler_after": "False"},
    "qam": {"fql_alpha": "0.0", "edit_scale": "0.0"},
    "qam_e": {"fql_alpha": "0.0"},
    "qam_f": {"edit_scale": "0.0"},
}
"""Method -> the reference's switches between the methods of one file, which are classes here."""


PHASES = (
    {"offline_steps": 1_000_000, "online_steps": 0, "replay_mode": "append"},
    {"offline_steps": 0, "online_steps": 500_000, "replay_mode": "balanced"},
)
"""Of the methods that begin offline, and of the one that does not."""


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="qam-train"):
        yield
    HydraConfig.instance().cfg = None


def table() -> dict[tuple[str, str], dict[str, str]]:
    """(method, domain) -> parameter -> value, in the reference's words."""
    rows: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for name in ("paper", "rql"):
        with open(Path(__file__).parent / f"{name}_hyperparameters.csv", newline="") as file:
            for row in csv.DictReader(file):
                rows[ALGOS[row["method"]], row["domain"]][row["parameter"]] = row["value"]
    return rows


def expected(defaults: dict[str, Any], algo: str, values: dict[str, str]) -> dict[str, Any]:
    """What config.algo must hold, except for the domain's values: the method's defaults and the table's values."""
    said = SAID_BY_THE_CLASS.get(algo, {})
    assert {key: values[key] for key in said} == said
    tuned = {NAMES.get(algo, {}).get(key, key): float(value) for key, value in values.items() if key not in said}
    if algo == "rlpd":
        tuned["bc_alpha"] = 0.0  # tuned in the table, but left at 0 by the authors' launch script
    assert tuned.keys() <= defaults.keys()
    return {**defaults, **tuned}


def every_task(*overrides: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Task and configuration; `task` is no group, so that giving it sets it in what was composed, as is done here."""
    config = compose_unresolved("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    for task in (1, 5):
        config.task = task
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        assert isinstance(resolved, dict)
        yield task, {str(key): value for key, value in resolved.items()}


def test_the_table_has_every_method_on_every_domain() -> None:
    domains = {domain.removesuffix("-100m") for domain in PAPER}
    assert table().keys() == {(algo, domain) for algo in options("tuned/paper") for domain in domains}


@pytest.mark.slow
@pytest.mark.parametrize("algo", options("tuned/paper"))
def test_every_value_of_the_published_runs(algo: str) -> None:
    """Also that the methods take these values, zeros among them."""
    defaults = composed("experiment=default", f"algo={algo}")["algo"]
    for (method, domain), values in table().items():
        if method != algo:
            continue
        many = domain in ("puzzle-4x4-play", "cube-quadruple-play")
        chunk, discount, rho, reward = PAPER[f"{domain}-100m" if many else domain]
        own = {"horizon_length": chunk, "discount": discount, "rho": rho}
        algorithm = {**expected(defaults, algo, values), **own}
        data = f"{domain}-100m-v0" if many else f"{domain}-v0"
        for task, config in every_task("experiment=paper", f"algo={algo}", f"env={domain}", "seed=20002"):
            assert config["algo"] == algorithm
            assert config["env"] == {"source": "ogbench", "dataset": data, "reward": reward, **own}
            run = {"task": task, "seed": 20002, **PHASES[algo == "rlpd"]}
            assert {key: config[key] for key in run} == run
            assert config["run_dir"] == f"runs/paper/{domain}-task{task}/{algo}/seed20002"
        read_settings(OmegaConf.create(config))


@pytest.mark.parametrize("algo", ["qam", "dsrl"])
def test_both_names_of_a_large_data_set_mean_the_same(algo: str) -> None:
    one, other = (composed("experiment=paper", f"algo={algo}", f"env=puzzle-4x4-play{more}") for more in ("", "-100m"))
    assert (one["algo"], one["env"]) == (other["algo"], other["env"])


def test_another_environment_needs_the_values_given() -> None:
    GlobalHydra.instance().clear()
    words = ["experiment=paper", "algo=qam_e", "env=cube-single-play"]
    with pytest.raises(QamError, match=r"^no algo.inv_temp was published for env=cube-single-play: give one, e.g."):
        compose(words)
    given = compose([*words, "algo.inv_temp=2", "algo.edit_scale=0.2"])
    assert (given.algo.inv_temp, given.algo.edit_scale) == (2, 0.2)


def test_a_choice_on_the_command_line_comes_before_the_table() -> None:
    config = composed("experiment=paper", "algo=rlpd", "env=scene-play", "algo.bc_alpha=0.3", "online_steps=9")
    assert (config["algo"]["bc_alpha"], config["online_steps"], config["offline_steps"]) == (0.3, 9, 0)
