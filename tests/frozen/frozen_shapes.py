"""What is frozen of files and of the public API: names, structure and types, without the numbers."""

from __future__ import annotations

import csv
import inspect
import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.frozen.frozen_workplace import Workplace, normalized

LONG = "data.path=" + "/a/long/directory" * 12 + "/file.npz"
NAMES: dict[str, list[str]] = {
    "nothing": [],
    "only a seed": ["seed=3"],
    "method": ["algo=qam_e"],
    "environment and task": ["env=cube-triple-play", "task=2"],
    "all that has a place of its own": ["algo=fql", "env=scene-play", "task=4", "seed=10001"],
    "several seeds": ["seeds=[1,2,3]"],
    "grid": ["seeds=[1,2]", "population.inv_temp=[0.3,1,3,10]"],
    "grid as a sweep's run has it": ["seeds=[1,2]", "++population.inv_temp=[0.3,1,3,10]"],
    "grid of two numbers": ["population.lr=[1e-3,1e-4]", "population.inv_temp=[1,3]"],
    "paper": ["experiment=paper", "algo=dsrl", "env=puzzle-4x4-play", "task=3"],
    "paper with an online phase": ["experiment=paper", "env=cube-double-play", "online_steps=500000"],
    "finetune": ["experiment=finetune"],
    "finetune_cube from a file": ["experiment=finetune_cube", "seeds=[1,2]", "data.path=cubes/data.npz"],
    "quickstart said": ["experiment=quickstart", "seed=1"],
    "quickstart with another method": ["experiment=quickstart", "algo=rlpd", "offline_steps=0"],
    "numbers of a method": ["algo=qam_f", "algo.inv_temp=3", "algo.fql_alpha=30"],
    "number in exponential form": ["algo.lr=1e-3"],
    "the same number in decimals": ["algo.lr=0.001"],
    "order does not matter": ["batch_size=64", "algo.rho=0.2", "algo.lr=0.001"],
    "the other order": ["algo.lr=0.001", "algo.rho=0.2", "batch_size=64"],
    "the last of two counts": ["algo.lr=1", "algo.lr=2", "seed=1", "seed=2"],
    "booleans": ["algo.action_chunking=False", "algo.clip_grad=true", "compare_behavior=True"],
    "lists": ["algo.actor_hidden_dims=[64, 64]", "algo.value_hidden_dims=[64,64]"],
    "integer with underscores": ["offline_steps=1_000"],
    "nothing that changes a result": [
        "resume=auto", "trainer=cpu", "logger=none", "logger.csv=false", "compile=false", "num_threads=1",
        "eval_workers=0", "eval_environments=10", "online_workers=2", "data.directory=/data", "data.download=false",
        "runs_root=elsewhere", "skip_completed=true", "on_divergence=freeze",
    ],
    "what changes none among what does": ["compile=true", "algo.rho=0.1", "num_threads=2", "logger=csv", "seed=7"],
    "precision": ["precision=bf16-mixed", "updates_per_step=7"],
    "path with signs of the grammar": ["data.path=/a b/c=d,(1).npz"],
    "quoted path": ["data.path='/a b/c=d.npz'"],
    "beyond 180 bytes": ["algo.lr=0.001", LONG, "batch_size=64"],
    "many overrides, beyond 180 bytes": [
        "algo.inv_temp=0.3", "algo.lr=0.0003", "algo.rho=0.25", "algo.discount=0.995", "algo.num_qs=4",
        "algo.flow_steps=20", "algo.target_update_rate=0.001", "algo.horizon_length=10", "batch_size=512",
        "eval_every=1000", "log_every=500",
    ],
    "deletion": ["~algo.rho", "algo.lr=0.001"],
    "added key": ["++algo.lr=0.001"],
    "added option": ["algo=qam_f", "+algo.edit_scale=null"],
    "custom file": ["env=npz", "path=my.npz", "env_id=Pendulum-v1"],
    "Minari": ["env=minari", "dataset=mujoco/hopper/medium-v0"],
    "online": ["online_steps=1000", "start_training=100", "utd_ratio=2", "num_envs=2", "replay_mode=balanced"],
    "online from a checkpoint": ["online_steps=1000", "start_training=1", "init_from=runs/a=1/checkpoints/last.ckpt"],
    "words as a sweep writes them": [
        "algo=qam", "algo.actor_hidden_dims=[16,16]", "algo.clip_grad=False", "data.path='/a b/c=d.npz'", "seed=2",
    ],
    "the same words of a single run": [
        "seed=2", "data.path=/a b/c=d.npz", "algo.clip_grad=false", "algo.actor_hidden_dims=[16, 16]", "algo=qam",
    ],
    "data options": ["data.fraction=0.5", "data.seed=3", "data.generate_transitions=5000"],
    "run_dir given": ["run_dir=/elsewhere/here", "algo.rho=0.5"],
    "runs_root given": ["runs_root=/elsewhere", "algo.rho=0.5"],
}  # fmt: skip
"""What it is -> the overrides of a run whose directory's name is frozen."""


def names() -> dict[str, dict[str, Any]]:
    """Of every set of overrides, the name and the directory, or the sentence that refuses it."""
    import qam_torch

    found: dict[str, dict[str, Any]] = {}
    for what, overrides in NAMES.items():
        try:
            config = qam_torch.compose(overrides)
            found[what] = {"overrides": overrides, "run_name": config.run_name, "run_dir": config.run_dir}
        except qam_torch.QamError as error:
            found[what] = {"overrides": overrides, "error": str(error)}
    return found


def tree(directory: Path) -> list[str]:
    """Every file in or below a directory, and every empty directory; what is in the names of no one's choice is *."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_dir() and any(path.iterdir()):
            continue
        name = str(path.relative_to(directory)) + "/" * path.is_dir()
        name = re.sub(r"events\.out\.tfevents\.[^/]*", "events.out.tfevents.*", name)
        found.append(re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "DATE", name))
    return sorted(set(found))


def header(path: Path) -> list[str]:
    """The columns of a file of comma-separated values, in order."""
    with open(path, newline="") as file:
        return next(csv.reader(file))


def structure(content: Any) -> Any:
    """Names and types of what JSON holds: of a list the types of its entries, each once."""
    if isinstance(content, dict):
        return {name: structure(value) for name, value in content.items()}
    if isinstance(content, list):
        kinds = [structure(value) for value in content]
        return [kind for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    return "null" if content is None else type(content).__name__


def structure_of(path: Path) -> Any:
    """The structure of a JSON file."""
    return structure(json.loads(path.read_text()))


def run_files(run: Path) -> dict[str, Any]:
    """What is frozen of the directory of a finished run."""
    return {
        "beside": sorted(path.name for path in run.parent.iterdir()),
        "tree": tree(run),
        "metrics.csv": header(run / "metrics.csv"),
        "summary.json": structure_of(run / "summary.json"),
        "versions.json": structure_of(run / "versions.json"),
        "config.yaml": list(yaml.safe_load((run / "config.yaml").read_text())),
    }


def sweep_files(root: Path) -> dict[str, Any]:
    """What is frozen of the directory of a sweep's runs."""
    (directory,) = (root / "sweeps").iterdir()
    return {
        "tree": tree(root),
        "sweep.csv": header(directory / "sweep.csv"),
        "record": structure_of(directory / "runs" / "0000.json"),
    }


FILES = {
    "offline run": lambda place: run_files(place.offline()),
    "online run": lambda place: run_files(place.online()),
    "population of a grid": lambda place: run_files(place.population()),
    "sweep": lambda place: sweep_files(place.swept()),
    "data directory": lambda place: tree(place.data_file.parent),
    "qam-eval --json": lambda place: structure_of(place.evaluated()),
    "qam-bench --json": lambda place: structure_of(place.measured()),
    "report directory": lambda place: tree(place.reported()),
}
"""What was made -> what is frozen of it, of a `Workplace`."""

REPORT_FILES = {"report.md": "report.txt", "figures.csv": "figures.csv", "evaluations.csv": "evaluations.csv"}
"""Files of a report that are frozen to the last character, and what they are called among what is expected."""


def output_of_fit(place: Workplace) -> list[str]:
    """All lines that a run without an error prints."""
    place.offline()
    return [normalized(line, place.replaced) for line in place.made["offline"].out.splitlines()]


def public_api() -> dict[str, Any]:
    """Names of the package, and the arguments and defaults of its functions."""
    import qam_torch

    functions = ("compose", "evaluate", "export_policy", "fit", "load_policy", "published")

    def described(argument: inspect.Parameter) -> str:
        if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL):
            return "any"
        return "required" if argument.default is argument.empty else repr(argument.default)

    return {
        "names": sorted(qam_torch.__all__),
        "arguments": {
            name: {one.name: described(one) for one in inspect.signature(getattr(qam_torch, name)).parameters.values()}
            for name in functions
        },
        "QamError is a": [kind.__name__ for kind in qam_torch.QamError.__mro__[1:]],
    }


def parity(experiment: str) -> dict[str, Any]:
    """Every method's whole configuration in an experiment, without the names of its results."""
    from omegaconf import OmegaConf

    import qam_torch

    found = {}
    for method in METHODS:
        config = OmegaConf.to_container(qam_torch.compose([f"experiment={experiment}", f"algo={method}"]))
        assert isinstance(config, dict)
        for name in ("run_name", "run_dir"):
            del config[name]
        config["algo"].pop("_target_")  # a path of modules
        found[method] = config
    common = {
        name: value for name, value in found["qam"].items() if all(one.get(name) == value for one in found.values())
    }
    own = {method: {k: v for k, v in one.items() if k not in common} for method, one in found.items()}
    return {"common": common, "methods": own}


METHODS = (
    "bam", "cgql", "cgql_linex", "cgql_mse", "dac", "dsrl", "fawac", "fbrac", "fedit", "fql", "ifql", "qam", "qam_e",
    "qam_f", "qsm", "rebrac", "rlpd", "rql",
)  # fmt: skip
