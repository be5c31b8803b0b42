"""The configs compose in every combination, and carry the reference protocol's numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import qam_torch.config.composition  # noqa: F401  (registers its resolvers)
from qam_torch.data.catalog import CATALOG, CatalogEntry
from qam_torch.envs.ogbench import dataset_names, environment_id

CONF = Path(__file__).resolve().parents[2] / "conf"

# The ten domains of Li & Levine 2026: chunk length, discount, rho, reward. Two use the datasets of many files.
PAPER = {
    "antmaze-large-navigate": (1, 0.99, 0.5, "dense"),
    "antmaze-giant-navigate": (1, 0.995, 0.5, "dense"),
    "humanoidmaze-medium-navigate": (1, 0.995, 0.0, "dense"),
    "humanoidmaze-large-navigate": (1, 0.995, 0.0, "dense"),
    "cube-double-play": (5, 0.99, 0.5, "dense"),
    "cube-triple-play": (5, 0.99, 0.5, "dense"),
    "cube-quadruple-play-100m": (5, 0.99, 0.5, "dense"),
    "scene-play": (5, 0.99, 0.5, "sparse"),
    "puzzle-3x3-play": (5, 0.99, 0.5, "sparse"),
    "puzzle-4x4-play-100m": (5, 0.99, 0.5, "sparse"),
}


STRUCTURAL = {"defaults", "data", "_target_", "algo_name", "env_name", "experiment_name", "run_name", "run_dir"}
"""Keys that a user does not set."""


def protocol(data: CatalogEntry) -> tuple[int, float, float, str]:
    """The same for any dataset, by the paper's rules."""
    arm, humanoid = data.family in ("cube", "scene", "puzzle"), data.family == "humanoidmaze"
    far = humanoid or data.environment == "antmaze-giant-v0"
    sparse = data.environment in ("scene-v0", "puzzle-3x3-v0", "puzzle-4x4-v0")
    return 5 if arm else 1, 0.995 if far else 0.99, 0.0 if humanoid else 0.5, "sparse" if sparse else "dense"


PROTOCOL = {name.removesuffix("-v0"): protocol(data) for name, data in CATALOG.items()}

# Environments that are named beside the data, with what the command line has to add.
OTHER_SOURCES = {
    "minari": ["dataset=mujoco/hopper/medium-v0"],
    "npz": ["path=my.npz", "env_id=Pendulum-v1"],
    "hdf5": ["path=my.hdf5", "env_id=Pendulum-v1"],
}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def unpublished(experiment: str, algo: str, env: str) -> list[str]:
    """What experiment=paper wants to be given for an environment that is not one of the paper's."""
    if experiment != "paper" or env in PAPER or algo not in options("tuned/paper"):
        return []
    tuned = OmegaConf.load(CONF / "tuned" / "paper" / f"{algo}.yaml")
    return [f"algo.{key}=1" for key in tuned if "per_domain" in str(OmegaConf.to_container(tuned)[key])]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="qam-train"):
        yield
    HydraConfig.instance().cfg = None


def composed(*overrides: str) -> dict[str, Any]:
    """The run's configuration with every interpolation resolved; an unresolvable one raises."""
    config = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    resolved = OmegaConf.to_container(config, resolve=False)
    assert isinstance(resolved, dict)
    del resolved["hydra"]
    plain = OmegaConf.to_container(OmegaConf.create(resolved), resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return plain


def run_dir(*overrides: str) -> str:
    return str(Path(composed(*overrides)["run_dir"]))


def covering(pairs: list[tuple[int, int]], *groups: list[str]) -> list[list[str]]:
    """Rows with an option of each group, so that any two options of each pair of groups meet in some row."""
    left = {(i, a, j, b): None for i, j in pairs for a in groups[i] for b in groups[j]}
    rows = []
    while left:
        i, a, j, b = next(iter(left))
        row = {i: a, j: b}
        for k in set(range(len(groups))) - row.keys():

            def gained(option: str, k: int = k, row: dict[int, str] = row) -> int:
                return sum((*one, k, option) in left or (k, option, *one) in left for one in row.items())

            row[k] = max(groups[k], key=gained)
        rows.append([row[k] for k in range(len(groups))])
        for (i, a), (j, b) in itertools.combinations(sorted(row.items()), 2):
            left.pop((i, a, j, b), None)
    return rows


@pytest.mark.slow
def test_any_two_choices_of_different_groups_compose() -> None:
    """No group knows three others; of the environments there is one of each protocol.

    Methods and environments meet in the paper's runs (test_paper.py) and in each one's protocol (below).
    """
    pairs = [pair for pair in itertools.combinations(range(5), 2) if pair != (0, 1)]
    envs = [*{values: env for env, values in PROTOCOL.items()}.values(), *OTHER_SOURCES]
    rows = covering(pairs, options("algo"), envs, *map(options, ("experiment", "trainer", "logger")))
    columns = list(zip(*rows, strict=True))
    for i, j in pairs:
        assert len(set(zip(columns[i], columns[j], strict=True))) == len(set(columns[i])) * len(set(columns[j]))

    for algo, env, experiment, trainer, logger in rows:
        groups = f"algo={algo}", f"env={env}", f"experiment={experiment}", f"trainer={trainer}", f"logger={logger}"
        config = composed(*groups, *OTHER_SOURCES.get(env, []), *unpublished(experiment, algo, env))
        if env not in OTHER_SOURCES:
            assert config["env"]["dataset"] == f"{env}-v0"
        assert config["algo"]["_target_"].lower() == "qam_torch.algorithms." + algo.replace("_", "")
        assert config["trainer"]["accelerator"] == trainer
        assert (config["algo_name"], config["env_name"].split("-")[0]) == (algo, env.split("-")[0])
        assert {"csv"} <= set(config["logger"]) <= {"wandb", "csv", "tensorboard"}


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.slow
def test_an_experiment_yields_to_the_choices_on_the_command_line(experiment: str) -> None:
    envs = itertools.cycle(["cube-triple-play", "humanoidmaze-large-navigate"])
    for algo, env in zip(options("algo"), envs, strict=False):
        config = composed(f"experiment={experiment}", f"algo={algo}", f"env={env}", "task=4", "algo.num_qs=3")
        assert (config["algo_name"], config["env"]["dataset"], config["task"]) == (algo, f"{env}-v0", 4)
        assert config["algo"]["num_qs"] == 3


@pytest.mark.slow
def test_every_trainer_and_every_logger() -> None:
    for trainer, logger in zip(itertools.cycle(options("trainer")), options("logger"), strict=False):
        config = composed(f"trainer={trainer}", f"logger={logger}")
        assert config["trainer"]["accelerator"] == trainer
        assert ("wandb" in config["logger"]) == (logger == "wandb")
        assert config["logger"]["csv"] == (logger in {"default", "csv", "wandb"})
        assert ("tensorboard" in config["logger"]) == (logger in {"default", "tensorboard", "wandb"})


def test_there_is_a_config_for_every_data_set_and_no_other() -> None:
    assert options("env") == sorted([*PROTOCOL, *OTHER_SOURCES])


def test_the_papers_domains_are_among_them() -> None:
    assert {env: PROTOCOL[env] for env in PAPER} == PAPER


@pytest.mark.slow
def test_environments_follow_the_protocol_through_to_the_algorithm() -> None:
    algos = itertools.cycle(options("algo"))
    for (env, (horizon_length, discount, rho, reward)), algo in zip(PROTOCOL.items(), algos, strict=False):
        config = composed("experiment=default", f"env={env}", f"algo={algo}")
        expected = {"horizon_length": horizon_length, "discount": discount, "rho": rho}
        assert config["env"] == {"source": "ogbench", "dataset": f"{env}-v0", "reward": reward, **expected}
        assert {key: config["algo"][key] for key in expected} == expected
        assert config["run_dir"].startswith(f"runs/default/{env}-task1/{algo}/")


@pytest.mark.parametrize(("env", "words"), OTHER_SOURCES.items())
def test_other_sources_have_the_ordinary_protocol_and_no_task(env: str, words: list[str]) -> None:
    config = composed(f"env={env}", *words)
    named = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    expected = {"horizon_length": 1, "discount": 0.99, "rho": 0.5}
    optional = {"hdf5": {"obs_keys": None}, "minari": {"env_id": None}}.get(env, {})
    assert config["env"] == {"source": env, **named, **optional, **expected}
    assert {key: config["algo"][key] for key in expected} == expected
    assert config["task"] is None


def test_ogbench_registers_every_task_of_every_data_set() -> None:
    asked = [environment_id(name, task) for name in CATALOG for task in range(1, 6)]
    assert [name for name in asked if name not in gymnasium.registry] == []
    # Each dataset's environment is the goal-conditioned one that it was recorded in, with a task.
    assert all(environment_id(name).replace("-singletask", "") == data.environment for name, data in CATALOG.items())
    assert {name for name, data in CATALOG.items() if data.shards == 1} <= set(dataset_names())


def test_the_defaults_are_the_reference_protocol() -> None:
    base, paper = (composed(f"experiment={name}", "algo.inv_temp=0.3") for name in ("default", "paper"))
    assert paper["seed"] == 10001
    differing = {key for key in base if base[key] != paper[key]}
    assert differing == {
        "seed",
        "experiment_name",
        "run_name",
        "run_dir",
        "logger",
    }  # the loggers' directory is that of the run
    expected = {"offline_steps": 1_000_000, "eval_every": 50_000, "eval_episodes": 50, "batch_size": 256}
    assert {key: paper[key] for key in expected} == expected
    algo = {"num_qs": 10, "flow_steps": 10, "lr": 3e-4, "target_update_rate": 0.005, "best_of_n": 1, "inv_temp": 0.3}
    assert {key: paper["algo"][key] for key in algo} == algo
    assert paper["algo"]["actor_hidden_dims"] == paper["algo"]["value_hidden_dims"] == [512] * 4


def test_the_quickstart_is_small_and_does_not_leak_into_other_experiments() -> None:
    quick = composed("experiment=quickstart")
    expected = {"inv_temp": 3.0, "horizon_length": 5, "num_qs": 2, "flow_steps": 5, "lr": 1e-3, "rho": 3.0}
    assert {key: quick["algo"][key] for key in expected} == expected
    assert quick["algo"]["actor_hidden_dims"] == quick["algo"]["value_hidden_dims"] == [128, 128]
    assert (quick["offline_steps"], quick["batch_size"], quick["compare_behavior"]) == (10_000, 128, True)
    assert (quick["env_name"], quick["task"], quick["algo_name"]) == ("pointmaze-medium-navigate", 1, "qam")

    other = composed(
        "experiment=default", "algo=qam_e", "env=cube-triple-play", "task=2", "seed=10001", "algo.inv_temp=3"
    )
    assert other["algo"]["value_hidden_dims"] == [512] * 4
    assert (other["offline_steps"], other["batch_size"], other["algo"]["inv_temp"]) == (1_000_000, 256, 3)
    assert (other["algo"]["horizon_length"], other["algo"]["edit_scale"]) == (5, 0.1)


PHASES = ("offline_steps", "online_steps")


@pytest.mark.slow
def test_cadences_divide_the_number_of_updates() -> None:
    for experiment in options("experiment"):
        config = composed(f"experiment={experiment}", "algo.inv_temp=1")
        for key in ("eval_every", "checkpoint_every", "log_every"):
            assert all(config[phase] < config[key] or config[phase] % config[key] == 0 for phase in PHASES)
            assert config[key] % config["updates_per_step"] == 0


def test_only_the_variants_own_keys_are_known_to_them() -> None:
    qam, qam_f, qam_e = (set(composed(f"algo={name}")["algo"]) for name in ("qam", "qam_f", "qam_e"))
    assert qam_f - qam == {"fql_alpha"}
    assert qam_e - qam == {"edit_scale", "edit_target_entropy_multiplier"}
    assert not qam - qam_f and not qam - qam_e


@pytest.mark.slow
def test_a_run_directory_is_named_after_the_command_and_nothing_else() -> None:
    command = ("algo=qam_e", "env=cube-triple-play", "task=2", "seed=10001")
    assert run_dir(*command) == "runs/quickstart/cube-triple-play-task2/qam_e/seed10001"
    tuned = (*command, "algo.inv_temp=3", "algo.edit_scale=0.2")
    expected = "runs/quickstart/cube-triple-play-task2/qam_e/algo.edit_scale=0.2,algo.inv_temp=3/seed10001"
    assert run_dir(*tuned) == expected
    assert run_dir(*reversed(tuned)) == expected
    assert run_dir() == "runs/quickstart/pointmaze-medium-navigate-task1/qam/seed0"


@pytest.mark.parametrize(
    "harmless",
    ["resume=auto", "trainer=cpu", "logger=csv", "num_threads=2", "eval_workers=4", "data.directory=/data/x"],
)
def test_what_does_not_change_the_result_does_not_change_the_directory(harmless: str) -> None:
    assert run_dir(harmless) == run_dir()


@pytest.mark.parametrize(
    "telling", ["algo.inv_temp=1", "seeds=[1,2]", "offline_steps=10", "data.fraction=0.5", "seed=3"]
)
def test_what_changes_the_result_changes_the_directory(telling: str) -> None:
    assert run_dir(telling) != run_dir()


def test_hydra_makes_no_directory_before_the_run_was_checked() -> None:
    overrides = ["algo=qam_f", "runs_root=/tmp/elsewhere", "seed=4"]
    config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    assert (config.hydra.run.dir, config.hydra.sweep.subdir) == (".", ".")
    assert config.hydra.sweep.dir == "/tmp/elsewhere/sweeps"
    assert config.run_dir.startswith("/tmp/elsewhere/")
    assert config.hydra.output_subdir is None
    assert config.hydra.job.chdir is False


def test_every_key_says_what_it_means() -> None:
    """Each key's first mention, in train.yaml and the groups, has a comment on its line."""
    documented = [CONF / "train.yaml", *(CONF / "env" / "protocol").glob("*.yaml")]
    documented += [CONF / "env" / f"{name}.yaml" for name in OTHER_SOURCES]
    documented += [path for group in ("algo", "trainer", "logger") for path in (CONF / group).glob("*.yaml")]
    silent = []
    for path in documented:
        text = path.read_text().split("\nhydra:\n")[0]
        for line in text.splitlines():
            key, colon, value = line.partition(":")
            structural = key in STRUCTURAL
            bare = "#" in line or line.lstrip().startswith("-") or not colon or structural
            if not bare and value.strip():
                silent.append(f"{path.relative_to(CONF)}: {line}")
    assert not silent
