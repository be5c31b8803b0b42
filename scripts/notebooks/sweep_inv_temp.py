# %% [markdown]
# # A sweep over inv_temp as one population
#
# `inv_temp` weighs the critic against the data. It is the hyperparameter to tune first. Three values and two seeds give
# six runs. Here they are six members of one population, trained in one process. Each member equals a standalone run up
# to rounding. [Populations](../docs/populations.md) lists the other hyperparameters that can differ between members.

# %%
import csv
import os
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown

import qam_torch
from qam_torch.report.write import write_report

short = "SHORT_NOTEBOOKS" in os.environ  # set by the tests; otherwise the sweep takes a few minutes
updates, evaluations, episodes = (200, 2, 1) if short else (4000, 4, 5)
config = qam_torch.compose(
    [
        "experiment=quickstart",
        "task=3",  # start and goal are close
        "population.inv_temp=[0.1,1,10]",
        "seeds=[1,2]",
        "on_divergence=freeze",  # if one member diverges, the others continue
        f"offline_steps={updates}",
        f"eval_every={updates // evaluations}",
        f"checkpoint_every={updates}",
        f"eval_episodes={episodes}",
        "compare_behavior=false",
        "batch_size=64",
        "algo.flow_steps=5",
        "algo.action_chunking=false",
        "runs_root=runs/notebook",
    ]
)
run = qam_torch.fit(config)

# %% [markdown]
# ## Results
#
# The table above has one line per value, over its seeds. `summary.json` has the same results:

# %%
for cell in run.summary["cells"]:
    print(cell["values"], "success", cell["success"], "by seed", cell["success_by_seed"])

# %% [markdown]
# `metrics.csv` has one row per member and logged update, with a column for `inv_temp`. Thick lines are means over both
# seeds, and thin lines are single seeds.

# %% [hidden]
with open(run.directory / "metrics.csv", newline="") as file:
    metrics = list(csv.DictReader(file))


def curves(name):
    """inv_temp -> (updates, values of both seeds)."""
    found = defaultdict(lambda: defaultdict(list))
    for row in metrics:
        if row[name]:
            found[float(row["inv_temp"])][int(row["update"])].append(float(row[name]))
    return {value: (list(points), np.array(list(points.values()))) for value, points in sorted(found.items())}


figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), dpi=80, layout="constrained")
shown = {
    "evaluation/success": ("success", "success rate"),
    "critic/q_mean": ("critic", "mean Q on the data"),
    "adjoint/terminal_mean": ("terminal adjoint", "mean size (log scale)"),
}
for ax, (name, (title, label)) in zip(axes, shown.items(), strict=True):
    for value, (updates, both) in curves(name).items():
        (line,) = ax.plot(updates, both.mean(1), label=f"inv_temp {value:g}")
        ax.plot(updates, both, color=line.get_color(), linewidth=0.6, alpha=0.5)
    ax.set(title=title, xlabel="updates", ylabel=label)
axes[0].set_ylim(-0.02, 1.02)
axes[2].set_yscale("log")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## The report
#
# `qam-report` separates the values automatically, for any number of runs. The command is
# `qam-report RUN --out REPORT`. Its page `report.html` contains the following figure and table and more.

# %%
out = run.directory / "report"
counted, *results, where = write_report([run.directory], out)
print(counted, *results, sep="\n")
Image(filename=next((out / "figures").glob("*-curves.png")), width=500)

# %%
text = (out / "report.md").read_text()
Markdown(text.partition("## Overview\n")[2].partition("\n## ")[0])

# %% [markdown]
# With a small `inv_temp`, the policy stays close to the behavior flow, which does not reach the goal. With a large one,
# it follows a critic that is still wrong in places. Two seeds and five episodes are too few for a conclusion. First use
# factors of ten to find the range, then factors of three with longer runs and more seeds.
#
# ## One member
#
# Load any member by its seed and its value of `inv_temp`, like the policy of a single run:

# %%
policy = qam_torch.load_policy(run.directory / "checkpoints" / "last.ckpt", seed=1, inv_temp=1)
observation, _ = policy.make_environment().reset(seed=0)
print(policy(observation)[0])
