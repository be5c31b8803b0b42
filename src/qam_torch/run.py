"""Run training from a configuration. `qam-train` and sweeps call `fit`; in Python it is `qam_torch.fit`.

`fit` converts Hydra's `_target_`s and keys to objects. `training.fit` receives the objects and does not depend on
Hydra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from qam_torch.config.instantiate import functions, instances

if TYPE_CHECKING:
    import lightning as L
    from lightning.pytorch.loggers import Logger

    from qam_torch.envs.step_metrics import StepMetric
    from qam_torch.training.fit import RunResult
    from qam_torch.training.plots import Plot

__all__ = ["fit"]


def fit(
    config: DictConfig,
    callbacks: Sequence[L.Callback] = (),
    loggers: Sequence[Logger] = (),
    evaluation_metrics: Sequence[StepMetric] = (),
    plots: Sequence[Plot] = (),
) -> RunResult:
    """Train and evaluate as configured, and write the results to the run directory.

    The arguments add to the configured `callbacks`, `logger`, `evaluation_metrics` and `plots`.

    Args:
        config: configuration from `qam_torch.compose`.
        callbacks: Lightning callbacks. They act after the metrics of a step are written and before its checkpoint.
        loggers: Lightning loggers.
        evaluation_metrics: functions of the steps of an evaluation episode, see `envs.step_metrics.StepMetric`.
        plots: functions of a finished run's data, see `training.plots.RunData`.

    Returns:
        The run directory, the content of summary.json and the trained algorithm, see `training.fit.RunResult`.

    Raises:
        QamError: a value is invalid, data are damaged or missing, the directory cannot be written to, a checkpoint
            belongs to another run (checked before training where possible), or training diverged.
    """
    from qam_torch.training.fit import Additions  # imported here, because it imports torch and Lightning
    from qam_torch.training.fit import fit as train_and_evaluate
    from qam_torch.training.settings import read_settings

    def additions() -> Additions:
        return Additions(
            callbacks=[*instances(config, "callbacks"), *callbacks],
            loggers=[*instances(config, "logger"), *loggers],
            evaluation_metrics=[
                *functions(config.get("evaluation_metrics"), "evaluation_metrics"),
                *evaluation_metrics,
            ],
            plots=[*functions(config.get("plots"), "plots"), *plots],
        )

    return train_and_evaluate(read_settings(config), additions)
