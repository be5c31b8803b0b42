# %% [markdown]
# # A sweep over inv_temp as one population
#
# `inv_temp` weighs the critic against the data, and is the number to tune first. Three values times two seeds are six
# runs, and here they are one: six members of a population, trained in one process. Each equals a run of its own, up to
# rounding. [Populations](../docs/populations.md) lists what else members may differ in.

# %%
import csv
import os
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown

import qam_torch
from qam_torch.report.write import write_report

short = "SHORT_NOTEBOOKS" in os.environ  # the tests set it: the sweep takes a few minutes
updates, evaluations, episodes = (200, 2, 1) if short else (4000, 4, 5)
config = qam_torch.compose(
    [
        "experiment=quickstart",
        "task=3",  # start and goal are close
        "population.inv_temp=[0.1,1,10]",
        "seeds=[1,2]",
        "on_divergence=freeze",  # should one member diverge, the others go on
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
# ## What came out
#
# The table above has a line for each value, over its seeds. The same stands in `summary.json`:

# %%
for cell in run.summary["cells"]:
    print(cell["values"], "success", cell["success"], "of each seed", cell["success_by_seed"])

# %% [markdown]
# `metrics.csv` has a row for each member and logged update, with a column for the number that differs:

# %%
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
    "evaluation/success": "success",
    "critic/q_mean": "mean Q on the data",
    "adjoint/terminal_mean": "terminal adjoint",
}
for ax, (name, title) in zip(axes, shown.items(), strict=True):
    for value, (updates, both) in curves(name).items():
        (line,) = ax.plot(updates, both.mean(1), label=f"inv_temp {value:g}")
        ax.plot(updates, both, color=line.get_color(), linewidth=0.6, alpha=0.5)
    ax.set(title=title, xlabel="updates")
axes[2].set_yscale("log")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## The report
#
# `qam-report` tells the values apart by itself, for any number of runs at once. On the command line it is
# `qam-report RUN --out REPORT`; its page, `report.html`, holds all of the following and more.

# %%
out = run.directory / "report"
counted, *told, where = write_report([run.directory], out)
print(counted, *told, sep="\n")
Image(filename=next((out / "figures").glob("*-curves.png")), width=500)

# %%
text = (out / "report.md").read_text()
Markdown(text.partition("## Overview\n")[2].partition("\n## ")[0])

# %% [markdown]
# With little weight the policy stays near the behaviour, which does not arrive; with much it follows a critic that
# is still wrong in places. Of these three only 1 has arrived by now, and only by one of its seeds: the interval says
# how little two seeds and five episodes tell. Factors of ten find the range in which to try factors of three, longer
# and with more seeds.
#
# ## One member
#
# Any member can be taken out by its seed and number, as the policy of a lone run:

# %%
policy = qam_torch.load_policy(run.directory / "checkpoints" / "last.ckpt", seed=1, inv_temp=1)
observation, _ = policy.make_environment().reset(seed=0)
print(policy(observation)[0])
