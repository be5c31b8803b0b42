"""Which discretization of adjoint matching, and which solver, comes closest to the tilted density? One CSV row per run.

    python scripts/discretizations.py | tee docs/files/discretizations.csv   # about half an hour on one core
    python scripts/discretizations.py --evaluations 10 --seeds 0             # one line of the table
    python scripts/discretizations.py --table docs/files/discretizations.csv # means over seeds, as Markdown

The problems and the measure are those of `tilted_density.py`. The solver `midpoint` makes half as many steps as
`euler`, so that both evaluate the flow equally often.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import torch
from tilted_density import (
    LinearCorrection,
    MLPCorrection,
    Tuning,
    Yardstick,
    fine_tune,
    gaussian_problem,
    mixture_problem,
)

from qam_torch.flows import AncestralDiscretization, Discretization, ShiftedDiscretization
from qam_torch.policies.flow import EVALS_PER_STEP

DISCRETIZATIONS: dict[str, Discretization] = {
    "shifted": ShiftedDiscretization(),
    "ancestral": AncestralDiscretization(),
}
CASES = {
    "gaussian": (gaussian_problem, LinearCorrection, Tuning(updates=300, learning_rate=3e-2)),
    "mixture": (mixture_problem, MLPCorrection, Tuning(updates=600)),
}


def table(rows: list[dict[str, str]]) -> str:
    """Mean shares over the seeds, a line for each problem and number of evaluations, as a Markdown table."""
    shares: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        column = (row["discretization"], row["solver"])
        shares[row["problem"], row["evaluations"]][column].append(float(row["share"]))
    columns = [(name, solver) for name in DISCRETIZATIONS for solver in EVALS_PER_STEP]
    lines = [
        f"| problem | evaluations | {' | '.join(f'{name}, {solver}' for name, solver in columns)} |",
        f"| --- | ---: |{' ---: |' * len(columns)}",
    ]
    for (problem, evaluations), line in shares.items():
        cells = [f"{fmean(line[column]):.3f}" if column in line else "" for column in columns]
        lines.append(f"| {problem} | {evaluations} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the header and a row for each problem, number of evaluations, discretization, seed and solver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[5, 10, 20, 50], help="of the flow per sample")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--table", type=Path, metavar="CSV", help="print the table of an earlier output instead")
    arguments = parser.parse_args()
    if arguments.table:
        with arguments.table.open(encoding="utf-8") as file:
            print(table(list(csv.DictReader(file))))
        return
    torch.set_num_threads(arguments.threads)
    print("problem,evaluations,discretization,solver,seed,share")
    for case, (make_problem, family, tuning) in CASES.items():
        problem = make_problem()
        yardstick = Yardstick(problem)
        for evaluations in arguments.evaluations:
            for name, discretization in DISCRETIZATIONS.items():
                for seed in arguments.seeds:
                    torch.manual_seed(seed)
                    f_theta = fine_tune(problem, family(evaluations), evaluations, tuning, seed, discretization)
                    for solver, each in EVALS_PER_STEP.items():
                        if evaluations % each == 0:
                            share = yardstick.share(f_theta, evaluations // each, solver)
                            print(f"{case},{evaluations},{name},{solver},{seed},{share:.4f}", flush=True)


if __name__ == "__main__":
    main()
