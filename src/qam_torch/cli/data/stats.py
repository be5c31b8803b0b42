"""`qam-data stats NAME`: describe a dataset, and each task's rewards on it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qam_torch.data.inspection.statistics import Episodes
    from qam_torch.plotting.datasets import Examples

__all__ = ["add_parser"]

_TASKS = (1, 2, 3, 4, 5)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb `stats` to the command."""
    parser = subparsers.add_parser(
        "stats",
        help="describe a dataset",
        description="Episodes, rewards of each task, and actions of a dataset: a table, and a plot of one task.",
    )
    parser.add_argument("data", metavar="NAME", help="dataset name, file, or directory of shards")
    parser.add_argument("--task", type=int, choices=_TASKS, help="this task only (default: all; the plot shows task 1)")
    parser.add_argument("--reward", choices=("dense", "sparse"), default="dense", help="default: dense")
    parser.add_argument(
        "--env", metavar="NAME", help="dataset whose tasks are used (default: derived from the file name)"
    )
    parser.add_argument("--png", metavar="PATH", help="file of the plot (default: NAME-stats.png; - for none)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.set_defaults(run=describe)


def describe(arguments: argparse.Namespace) -> int:
    """Print statistics of a dataset's training files and save a figure.

    Args:
        arguments: data, task, reward, env, png, json, directory.

    Returns:
        0.

    Raises:
        QamError: the data cannot be read, the environment cannot be made, or the figure cannot be saved.
    """
    from qam_torch.cli.data.locate import data_set_name, training_files_of
    from qam_torch.types import QamError

    files = training_files_of(arguments.data, arguments.directory)
    name = arguments.env or data_set_name(files[0])
    tasks = (arguments.task,) if arguments.task else _TASKS
    if name is None:
        raise QamError(f"'{files[0]}' has no known tasks: give a dataset of the same environment with --env NAME")
    title = files[0].stem if len(files) == 1 else files[0].resolve().parent.name
    picture = arguments.png or f"{title}-stats.png"
    if not Path(picture).parent.is_dir():
        raise QamError(
            f"--png {picture}: directory '{Path(picture).parent}' does not exist: create it or give another file"
        )
    episodes, examples = _read(files, name, tasks, arguments.reward)
    summary = {"name": name, "files": [str(file) for file in files], "reward": arguments.reward, **_numbers(episodes)}
    if picture != "-":
        from qam_torch.plotting.datasets import plot_dataset

        returns = episodes.outcomes[examples.task].returns
        plot_dataset(picture, title, returns, episodes.actions, examples, arguments.reward)
        summary["png"] = picture
    print(json.dumps(summary, indent=1) if arguments.json else _tables(title, summary))
    return 0


def _read(files: list[Path], name: str, tasks: tuple[int, ...], reward: str) -> tuple[Episodes, Examples]:
    """Summarize the files one by one, so that only one is in memory. The examples come from the first file."""
    from qam_torch.cli.data.examples import choose_examples
    from qam_torch.cli.data.scene import scene_of
    from qam_torch.data.inspection.statistics import concatenate, summarize_episodes
    from qam_torch.data.ogbench_format import read_npz
    from qam_torch.data.relabel import task_rewards
    from qam_torch.envs.ogbench import environment_id, make_environment

    environments = {task: make_environment(name, task) for task in tasks}
    parts, examples = [], None
    try:
        environment = environments[tasks[0]]
        sizes = environment.observation_space.shape[0], environment.action_space.shape[0]  # type: ignore[index]
        for file in files:
            arrays = read_npz(file, *sizes)
            rewards = {
                task: task_rewards(environment, environment_id(name, task), arrays, sparse=reward == "sparse")
                for task, environment in environments.items()
            }
            parts.append(summarize_episodes(arrays, rewards))
            if examples is None:
                examples = choose_examples(arrays, *rewards[tasks[0]], tasks[0], scene_of(environments[tasks[0]]))
    finally:
        for environment in environments.values():
            environment.close()
    assert examples is not None
    return concatenate(parts), examples


def _numbers(episodes: Episodes) -> dict[str, Any]:
    from qam_torch.data.inspection.statistics import length_summary, outcome_summary

    counts = episodes.actions
    return {
        "transitions": int(episodes.lengths.sum()),
        "episodes": len(episodes.lengths),
        "episode_length": length_summary(episodes),
        "tasks": {str(task): outcome_summary(episodes, task) for task in episodes.outcomes},
        "action_histogram": (counts / counts.sum(axis=1, keepdims=True)).tolist(),
    }


def _tables(title: str, summary: dict[str, Any]) -> str:
    lengths = summary["episode_length"]
    length = "   ".join(f"{label} {value:,.0f}" for label, value in lengths.items())
    lines = [
        f"{title}: {summary['transitions']:,} transitions in {summary['episodes']:,} episodes",
        f"episode length   {length}",
        "",
        f"{summary['reward']:6}     success in      mean        return of an episode",
        "task    steps episodes    reward        p5       p25       p50       p75       p95",
    ]
    for task, row in summary["tasks"].items():
        returns = "".join(f"{value:10,.0f}" for key, value in row.items() if key.startswith("return_"))
        success = f"{row['success_transitions']:8.3%} {row['success_episodes']:8.1%}"
        lines.append(f"{task:>4} {success} {row['mean_reward']:9.3f}{returns}")
    histogram = summary["action_histogram"]
    bins = len(histogram[0])
    edges = "".join(f"{-1 + 2 * i / bins:7.1f}" for i in range(bins))
    lines += ["", "actions, % from", f"{'dim':>4}{edges}"]
    lines += [f"{i:4}" + "".join(f"{share:7.1%}"[:-1].rjust(7) for share in row) for i, row in enumerate(histogram)]
    return "\n".join([*lines, *(["", f"plot: {summary['png']}"] if "png" in summary else [])])
