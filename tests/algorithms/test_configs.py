"""Every config in conf/algo is a method that can be built and trained."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from qam_torch import algorithms
from qam_torch.algorithms import Algorithm, NamedNoise
from qam_torch.algorithms.core.signatures import annotations_of, arguments_of_member
from qam_torch.config.composition import compose, config_directory
from qam_torch.plotting.metric_panels import group_metrics
from qam_torch.training.settings import read_settings
from qam_torch.types import Batch

ALGOS = sorted(path.stem for path in (config_directory() / "algo").glob("*.yaml"))
SMALL = ("algo.actor_hidden_dims=[8,8]", "algo.value_hidden_dims=[8,8]", "algo.num_qs=2", "algo.horizon_length=2")
GIVEN = {"self", "observation_dim", "action_dim", "seeds"}


def test_every_method_has_a_config_and_every_config_a_comment() -> None:
    targets = {str(OmegaConf.load(config_directory() / "algo" / f"{algo}.yaml")._target_) for algo in ALGOS}
    bases = {"Algorithm", "ActorCritic", "FlowActorCritic"}
    kinds = {name for name in algorithms.__all__ if isinstance(getattr(algorithms, name), type)} - bases
    methods = {name for name in kinds if issubclass(getattr(algorithms, name), Algorithm)}
    assert targets == {f"qam_torch.algorithms.{name}" for name in methods} and len(ALGOS) == len(methods)
    for algo in ALGOS:
        lines = Path(config_directory() / "algo" / f"{algo}.yaml").read_text().splitlines()
        assert lines[0].startswith("# ")
        for line in lines:
            key = line.partition(":")[0]
            if key.islower() and key not in ("defaults", "_target_") and not line.startswith(("#", " ")):
                assert " # " in line, f"{algo}: {line}"


@pytest.mark.parametrize("algo", ALGOS)
def test_a_config_names_all_that_its_class_takes(algo: str) -> None:
    method = read_settings(compose([f"algo={algo}", "experiment=default", *SMALL])).method
    taken = {
        name
        for base in method.kind.__mro__
        if issubclass(base, Algorithm) and "__init__" in vars(base)
        for name, one in inspect.signature(base.__init__).parameters.items()
        if one.kind is not inspect.Parameter.VAR_KEYWORD
    }
    assert method.options.keys() == taken - GIVEN


@pytest.mark.parametrize("algo", ALGOS)
def test_a_configured_method_makes_an_update_in_float32(algo: str) -> None:
    config = compose([f"algo={algo}", "experiment=default", "seeds=[1,2]", "env=cube-single-play", *SMALL])
    algorithm, arguments = read_settings(config).method.build(observation_dim=3, action_dim=2)
    assert all(p.dtype == torch.float32 for p in algorithm.parameters())
    algorithm.recorded = False
    algorithm.configure_optimizers()
    normal = [torch.randn(2, 4, *shape, generator=torch.Generator().manual_seed(0)) for shape in ((3,), (4,), ())]
    batch = Batch(normal[0], normal[1].clamp(-1, 1), normal[2], torch.ones(2, 4), torch.ones(2, 4), normal[0])
    noise = NamedNoise(algorithm.draws(4), (1, 2), "test").sample(1)
    before = {name: p.clone() for name, p in algorithm.networks.named_parameters()}
    report = algorithm.update(batch, {name: draw[0] for name, draw in noise.items()}, diagnose=True)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in report.values())
    assert not any(torch.equal(before[name], p) for name, p in algorithm.networks.named_parameters())
    panels = group_metrics(list(report))
    assert len({panel.title for panel in panels}) == len(panels)
    assert sorted(name for panel in panels for name in (*panel.lines, *(panel.band or ()))) == sorted(report)
    alone = arguments_of_member(type(algorithm), arguments, 1)
    assert alone["seeds"] == [2] and alone["num_qs"] == 2 and alone["actor_hidden_dims"] == [8, 8]


def test_arguments_of_a_member_are_its_own() -> None:
    config = compose(["algo=qsm", "experiment=default", "seeds=[1,2]", "algo.bc_alpha=[3,4]", *SMALL])
    method = read_settings(config).method
    kind = method.kind
    assert annotations_of(kind)["inv_temp"] == annotations_of(kind)["bc_alpha"] == "float | Sequence[float]"
    alone = arguments_of_member(kind, method.arguments(), 1)
    assert alone["bc_alpha"] == 4 and alone["inv_temp"] == 1.0
