"""Composing a run's configuration, and what a mistake in it is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import qam_torch
from qam_torch.config.composition import compose
from qam_torch.config.overrides import jobs
from qam_torch.types import QamError

MISTAKES = {
    "algo=qamm": "unknown algo 'qamm': did you mean qam",
    "algo=sac": "unknown algo 'sac': did you mean dac or ",
    "algo=null": "unknown algo 'null'",
    "env=cube-tripel-play": "unknown env 'cube-tripel-play': did you mean cube-triple-play",
    "env=pointmaze": "unknown env 'pointmaze': did you mean pointmaze-",
    "trainer=gpuu": "unknown trainer 'gpuu': did you mean gpu",
    "logger=tensorbord": "unknown logger 'tensorbord': did you mean tensorboard",
    "experiment=quick": "unknown experiment 'quick': did you mean quickstart",
    "algo.inv_tmp=3": "unknown key 'algo.inv_tmp': did you mean algo.inv_temp?",
    "inv_temp=3": "unknown key 'inv_temp': did you mean algo.inv_temp?",
    "online_stps=3": "unknown key 'online_stps': did you mean online_steps",
    "+online_stps=3": "unknown key 'online_stps': did you mean online_steps",
    "++online_stps=3": "unknown key 'online_stps': did you mean online_steps",
    "updates=3": "unknown key 'updates': it is now offline_steps",
    "logger.tensorbord=false": "unknown key 'logger.tensorbord': did you mean logger.tensorboard",
    "agent=qam": "unknown key 'agent'",
    "algo.inv_temp.x=3": "unknown key 'algo.inv_temp.x'",
    "hydra.run.dirr=x": "unknown key 'hydra.run.dirr'",
    "~algo.nothing": "'algo.nothing' does not exist",
    "+algo.inv_temp=3": "An item is already at 'algo.inv_temp'",
    "seed": "cannot read 'seed'",
    "algo.inv_temp=[1,2": "cannot read 'algo.inv_temp=[1,2'",
    "=3": "cannot compose",
    "seed=1,2": "'seed=1,2' gives several values: add -m",
    "algo=qam,qam_e": "'algo=qam,qam_e' gives several values: add -m",
    "task=${nowhere}": "Interpolation key 'nowhere' not found",
}


@pytest.mark.parametrize(("override", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_a_mistake_is_reported_in_one_sentence(override: str, message: str) -> None:
    with pytest.raises(QamError) as error:
        compose([override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_composing_after_a_mistake_works() -> None:
    with pytest.raises(QamError):
        compose(["online_stps=3"])
    assert compose(["seed=3"]).seed == 3


@pytest.mark.slow
def test_the_quickstart_is_small_whatever_else_is_given_until_another_experiment_is_named() -> None:
    """Of an environment that is named, chunk length, discount and rho are used."""
    quick = compose()
    for words in (["seeds=[1,2,3]"], ["algo=qam_f"], ["env=humanoidmaze-large-navigate"], ["env=npz"]):
        config = compose(words)
        assert config.run_name.startswith("quickstart/"), words
        for key in ("offline_steps", "batch_size", "algo.num_qs", "algo.lr", "algo.value_hidden_dims"):
            assert OmegaConf.select(config, key) == OmegaConf.select(quick, key), (words, key)
    far = compose(["env=humanoidmaze-large-navigate"]).algo
    assert (far.horizon_length, far.discount, far.rho) == (1, 0.995, 0.0)
    assert compose(["env=cube-single-play"]).algo.horizon_length == 5
    assert compose(["experiment=finetune"]).algo.horizon_length == quick.algo.horizon_length
    whole = compose(["experiment=default", "seed=3"])
    assert (whole.offline_steps, whole.algo.num_qs, whole.algo.horizon_length) == (1_000_000, 10, 1)
    assert whole.run_name.startswith("default/")


def test_the_config_is_resolved_and_has_nothing_of_hydras() -> None:
    config = qam_torch.compose(["algo=qam_e", "env=cube-triple-play", "task=2", "seed=10001", "algo.inv_temp=3"])
    assert "hydra" not in config
    late = {"logger", "callbacks"}  # resolved when their objects are made, so that they follow run_dir
    assert "${" not in OmegaConf.to_yaml({name: value for name, value in config.items() if name not in late})
    assert config.logger.tensorboard.save_dir == config.run_dir
    assert (config.algo.inv_temp, config.algo.horizon_length, config.algo.rho) == (3, 5, 0.5)
    assert Path(config.run_dir) == Path("runs/quickstart/cube-triple-play-task2/qam_e/algo.inv_temp=3/seed10001")
    assert Path(qam_torch.compose(["seeds=[1,2]", "algo=qam_f"]).run_dir).name == "seeds1-2"


def test_directory_names_are_single_short_and_tell_runs_apart() -> None:
    def name(*words: str) -> str:
        path = Path(compose(["algo.num_qs=3", *words]).run_dir)
        assert len(path.parts) == 6
        return path.parts[-2]

    assert name("data.path=/a/b.npz") == "algo.num_qs=3,data.path=_a_b.npz"
    widths = ",".join(["512"] * 60)
    long, other = (name(f"algo.actor_hidden_dims=[{widths}]", f"batch_size={size}") for size in (7, 8))
    assert long != other
    assert long.startswith("algo.actor_hidden_dims=[512,512") and len(long) < 255


def test_a_multirun_is_the_product_of_its_choices() -> None:
    expected = [["algo=qam", "seed=1"], ["algo=qam", "seed=2"], ["algo=qam_f", "seed=1"], ["algo=qam_f", "seed=2"]]
    assert jobs(["algo=qam,qam_f", "seed=1,2"]) == expected
    assert jobs(["algo=choice(qam,qam_f)", "seed=range(1,3)"]) == expected
    assert [run[1] for run in jobs(["task=3", "algo.actor_hidden_dims=[8,8],[16]"])] == [
        "algo.actor_hidden_dims=[8,8]", "algo.actor_hidden_dims=[16]"
    ]  # fmt: skip
    assert jobs(["seeds=[1,2]", "task=3"]) == [["seeds=[1,2]", "task=3"]]
    assert [run[0] for run in jobs(["env=glob(cube-*-noisy)"])] == [
        f"env=cube-{size}-noisy" for size in ("double", "octuple", "quadruple", "single", "triple")
    ]
