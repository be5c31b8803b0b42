"""`qam-train`: train a flow policy by Q-learning with adjoint matching, and measure it. See `qam-train --help`."""

from __future__ import annotations

import os
import sys
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict

from qam_torch.experiment.configuration import check_groups, config_directory, with_default_experiment
from qam_torch.types import QamError

__all__ = ["main"]


def main() -> None:
    """Entry point: a Hydra application whose errors are one sentence, and whose exit status tells."""
    failures: list[str] = []

    def job(config: DictConfig) -> Any:
        from qam_torch.experiment.run import fit  # torch and Lightning only once the command line has been understood

        OmegaConf.resolve(config)
        try:
            with open_dict(config):
                fit(config)
        except QamError as error:
            print(f"qam-train: {error}", file=sys.stderr)
            failures.append(str(error))

    try:
        sys.argv[1:] = with_default_experiment(sys.argv[1:])
        check_groups(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="train")(job)()
    except (QamError, OSError) as error:
        print(f"qam-train: {error}", file=sys.stderr)
        failures.append(str(error))
    except KeyboardInterrupt:
        print("qam-train: interrupted; the same command with resume=auto continues", file=sys.stderr)
        sys.exit(130)
    if failures:
        sys.stdout.flush()
        sys.exit(1)


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    main()
