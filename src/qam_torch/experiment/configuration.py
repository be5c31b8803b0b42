"""Where the configs are, and composing one outside a command line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qam_torch.types import QamError

__all__ = ["check_groups", "compose", "config_directory", "plain", "with_default_experiment"]

GROUPS = ("algo", "env", "trainer", "logger", "experiment")


def _seed_name(seed: int, seeds: Sequence[int] | None) -> str:
    """Directory of a run: seed1, or seeds1-2-3 of a population."""
    return f"seed{seed}" if seeds is None else "seeds" + "-".join(map(str, seeds))


OmegaConf.register_new_resolver("seed_name", _seed_name, replace=True)


def config_directory() -> Path:
    """The one copy of the configs: inside an installed package, or at the top level of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "conf", package.parents[1] / "conf"):
        if (directory / "train.yaml").is_file():
            return directory
    raise QamError(f"no configs found beside {package}: reinstall qam-torch")


def options_of(group: str) -> list[str]:
    """The names a group can take."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


def check_groups(overrides: Sequence[str]) -> None:
    """Raise QamError, with the nearest names, if an override names an unknown option of a group."""
    for override in overrides:
        match = re.fullmatch(r"\+?(\w+)=(.+)", override)
        if match is None or match[1] not in GROUPS:
            continue
        known = options_of(match[1])
        for choice in re.split(r"[,\[\]\s]+", match[2].strip("'\"")):
            if choice and choice not in known and not choice.startswith("choice("):
                near = difflib.get_close_matches(choice, known, n=3, cutoff=0.4)
                hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
                raise QamError(f"unknown {match[1]} '{choice}': {hint}")


def with_default_experiment(overrides: Sequence[str]) -> list[str]:
    """A command line without any override of a value runs the quickstart."""
    asked = [override for override in overrides if not override.startswith("-")]
    return [*overrides, "experiment=quickstart"] if not asked else list(overrides)


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration that `qam-train` with these overrides would run.

    overrides  Hydra's grammar, e.g. ["algo=qam_e", "env=cube-triple-play", "task=2", "algo.inv_temp=3"]
    ->         the resolved config, without Hydra's own part

    Raises QamError for unknown names and keys.
    """
    check_groups(overrides)
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            config = hydra_compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise QamError(f"cannot compose the configuration: {' '.join(str(error).split())}") from None
    finally:
        HydraConfig.instance().cfg = None
    with open_dict(config):
        del config["hydra"]
    return config


def plain(config: DictConfig) -> dict:
    """The config as plain, resolved containers."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path with ~ expanded, relative ones against the working directory."""
    return Path(path).expanduser().absolute()
