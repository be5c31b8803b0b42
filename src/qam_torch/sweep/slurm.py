"""Launch runs as Slurm jobs with submitit.

This module replaces the launch function of hydra-submitit-launcher. That function raises at the first job without a
result, e.g. a canceled one, and loses the results of the other jobs. It also submits runs that are already finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, setup_globals

from qam_torch.config.hydra_internals import BasicLauncher
from qam_torch.config.overrides import name_of
from qam_torch.sweep.job import SweepJob
from qam_torch.sweep.record import DONE, Outcome, Record, failed_outcome
from qam_torch.types import QamError

__all__ = ["launch"]

SHARED = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
)  # fmt: skip
"""Parameters that all submitit executors share. Other parameters need the executor's name as a prefix."""


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    """Submit the unfinished runs and wait for all of them.

    Args:
        launcher: the launcher of hydra-submitit-launcher.
        job_overrides: overrides of each run.
        first: index of the first of these runs in the sweep.

    Returns:
        One result per run, in order.
    """
    setup_globals()
    results: dict[int, JobReturn] = {}
    waiting: dict[int, Sequence[str]] = {}
    for number, overrides in enumerate(job_overrides, first):
        done = _finished_result(launcher, overrides, number)
        if done is None:
            waiting[number] = overrides
        else:
            results[number] = done
    jobs = _submit(launcher, waiting) if waiting else {}
    try:
        for number, job in jobs.items():
            results[number] = _result(launcher.task_function, number, waiting[number], job)
    except BaseException:
        if launcher._EXECUTOR == "local":  # no scheduler stops local jobs
            for job in jobs.values():
                job.cancel()
        raise
    return [results[number] for number in sorted(results)]


def _finished_result(launcher: Any, overrides: Sequence[str], number: int) -> JobReturn | None:
    """Return the result of a run that is already finished, otherwise None.

    Hydra's basic launcher makes the result in this process, where the job skips the run.
    """
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        if not launcher.task_function.is_finished(config):
            return None
    finally:
        HydraConfig.instance().cfg = before
    basic = BasicLauncher()
    basic.setup(hydra_context=launcher.hydra_context, task_function=launcher.task_function, config=launcher.config)
    return basic.launch([overrides], number)[0]


def _submit(launcher: Any, waiting: Mapping[int, Sequence[str]]) -> dict[int, Any]:
    """Submit all runs as one job array. Return run number -> job."""
    import submitit

    cluster = launcher._EXECUTOR
    if cluster == "slurm" and shutil.which("srun") is None:
        raise QamError("Slurm's srun is not on this machine: give the command where jobs are submitted from")
    parameters = dict(launcher.params)
    limit = {"slurm_max_num_timeout": parameters.pop("max_num_timeout")} if "max_num_timeout" in parameters else {}
    executor = submitit.AutoExecutor(folder=parameters.pop("submitit_folder"), cluster=cluster, **limit)
    executor.update_parameters(
        **{name if name in SHARED else f"{cluster}_{name}": value for name, value in parameters.items()}
    )
    state = Singleton.get_state()
    jobs = [(list(words), "hydra.sweep.dir", number, str(number), state) for number, words in waiting.items()]
    submitted = executor.map_array(launcher, *zip(*jobs, strict=True))
    ids = ", ".join(str(job.job_id) for job in submitted[:3]) + (", ..." if len(submitted) > 3 else "")
    print(f"submitted as {ids}", flush=True)
    return dict(zip(waiting, submitted, strict=True))


def _result(task: SweepJob, number: int, words: Sequence[str], job: Any) -> JobReturn:
    """Wait for a job and return its result. If the job is lost, the run counts as failed."""
    try:
        returned: JobReturn = job.results()[0]
        return returned
    except Exception as error:  # submitit raises many types; the other jobs still have results
        outcome = _lost_job_outcome(task, number, words, job, error)
        return JobReturn(overrides=words, status=JobStatus.COMPLETED, _return_value=outcome)


def _lost_job_outcome(task: SweepJob, number: int, words: Sequence[str], job: Any, error: Exception) -> Outcome:
    """Return the outcome of a run whose job is lost. If the run's record has no final outcome, record a failure."""
    path = Record.path(task.directory, number)
    record = Record.read(path) if path.exists() else Record(number, words, name_of(words, task.common))
    if record.outcome.ending in (*DONE, "failed"):  # the run ended before the job was lost
        return record.outcome
    reason = failed_outcome(error, record.outcome.directory).reason
    record = record.with_outcome(
        replace(record.outcome, ending="failed", reason=f"job {job.job_id} left no result ({reason})")
    )
    record.write(path)
    return record.outcome
