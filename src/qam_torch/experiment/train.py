"""`qam-train`: train a flow policy by Q-learning with adjoint matching, and measure it. See `qam-train --help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Entry point: a Hydra application whose errors are one sentence, and whose exit status tells.

    0 if every run succeeded, 1 after an error, 130 after Ctrl-C.
    """
    try:
        sys.exit(_main())
    except KeyboardInterrupt:
        print("qam-train: interrupted; the same command with resume=auto continues", file=sys.stderr)
        sys.exit(130)


def _main() -> int:
    # Here, and not above, because they take seconds in which an interrupt must not end in a traceback.
    import hydra
    from omegaconf import DictConfig, OmegaConf, open_dict

    from qam_torch.experiment.configuration import config_directory
    from qam_torch.experiment.own import see_working_directory
    from qam_torch.types import QamError

    failures = 0

    def failed(error: Exception) -> None:
        nonlocal failures
        failures += 1
        print(f"qam-train: {error}", file=sys.stderr, flush=True)

    def job(config: DictConfig) -> Any:
        from qam_torch.experiment.run import fit  # torch and Lightning only once the command line has been understood

        try:
            OmegaConf.resolve(config)
            with open_dict(config):
                fit(config)
        except (QamError, OSError) as error:
            failed(error)

    try:
        see_working_directory()
        sys.argv[1:] = _checked(sys.argv[1:])
        # An absolute directory, so that the command works from anywhere.
        hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="train")(job)()
    except (QamError, OSError) as error:
        failed(error)
    sys.stdout.flush()
    return 1 if failures else 0


def _checked(words: Sequence[str]) -> list[str]:
    """The command line with its default experiment, after every run it asks for has been composed and checked.

    Hydra would report a misspelt key in several lines, and only when a multirun comes to it.
    """
    from hydra._internal.utils import get_args_parser

    from qam_torch.experiment.configuration import (
        compose,
        jobs,
        with_default_experiment,
        with_free_keys,
        with_quoted_paths,
    )
    from qam_torch.experiment.groups import with_config_directory
    from qam_torch.types import QamError

    # Intermixed, and the overrides put last, because Hydra takes them only in one piece.
    arguments = get_args_parser().parse_intermixed_args(list(words))
    flags = list(words)
    for override in arguments.overrides:
        flags.remove(override)
    if arguments.hydra_help or arguments.shell_completion:
        return list(words)
    overrides = with_free_keys(with_default_experiment(with_quoted_paths(arguments.overrides)))
    composed = with_config_directory(overrides, arguments.config_dir)
    for run in jobs(composed) if arguments.multirun else [composed]:
        try:
            config = compose(run)
            if not (arguments.help or arguments.cfg or arguments.info):
                from qam_torch.experiment.checks import check

                check(config)
        except QamError as error:
            told = f" (in the run {' '.join(run)})" if run != composed else ""
            raise QamError(f"{error}{told}") from None
    return [*flags, *overrides]


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    main()
