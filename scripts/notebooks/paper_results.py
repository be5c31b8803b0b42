# %% [markdown]
# # Reading the paper's results
#
# The package contains the success rates of [Li & Levine 2026](https://arxiv.org/abs/2601.14234): all methods on the
# fifty tasks of ten domains, every 50,000 steps, with twelve seeds each. They are derived from the authors' released
# experiment data. This notebook shows their tables and curves, and compares your own runs with them.
#
# The package also contains the results of RQL, from [another paper](https://arxiv.org/abs/2606.17551). They are left
# out here, because third parties transcribed them; `Curve.doubts` lists the reasons why they may be wrong.

# %%
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown
from omegaconf import OmegaConf

import qam_torch
from qam_torch.report.write import write_report

paper = qam_torch.published()
METHODS = [method for method in paper.methods if not paper.curve(method).doubts]
print("methods:", *METHODS)
print(len(paper.domains), "domains:", *paper.domains)

# %% [markdown]
# ## One curve
#
# `curve` takes a method (the paper's name or the name for `algo=`) and a domain, one of its tasks, or `"all"`. `at`
# returns one result: after a number of offline gradient updates and, optionally, a number of online environment
# steps.

# %%
curve = paper.curve("qam_e", "cube-triple-play", task=2)
print(curve.method, "on", curve.name, "over", curve.seeds, "seeds")
print(curve.at(1_000_000))
print(curve.at(1_000_000, 500_000))

# %% [markdown]
# ## The tables
#
# Success in percent. A number is bold if its 95% interval overlaps the interval of the best number in its column. Two
# domains, cube-quadruple and puzzle-4x4, use the datasets of 100 million transitions.

# %% [hidden]
PLACES = ["all", *paper.domains]


def table(offline, online=0):
    """All methods on all domains at one step, sorted by the mean over all domains."""
    begun = {"RLPD": 0}  # it begins online
    found = {m: [paper.curve(m, place).at(begun.get(m, offline), online) for place in PLACES] for m in METHODS}
    found = {m: figures for m, figures in found.items() if None not in figures}
    best = [max(column, key=lambda figure: figure.success) for column in zip(*found.values(), strict=True)]
    lines = ["| method | " + " | ".join(PLACES) + " |", "| --- |" + " ---: |" * len(PLACES)]
    for method, figures in sorted(found.items(), key=lambda row: -row[1][0].success):
        cells = [
            f"**{100 * figure.success:.1f}**" if figure.high >= top.low else f"{100 * figure.success:.1f}"
            for figure, top in zip(figures, best, strict=True)
        ]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return Markdown("\n".join(lines))


# %%
table(1_000_000)

# %% [markdown]
# The same after 500,000 more online environment steps. RLPD has no offline phase and trains only in these steps:

# %%
table(1_000_000, 500_000)

# %% [markdown]
# The result of a domain is the mean of its five tasks, and the result of all domains is the mean over domains. The
# largest deviations of the published numbers from these means, due to rounding:

# %%
tasks = [[paper.curve("QAM", domain, task).success for task in range(1, 6)] for domain in paper.domains]
domains = np.array([paper.curve("QAM", domain).success for domain in paper.domains])
print(f"{np.abs(np.mean(tasks, axis=1) - domains).max():.4f}")
print(f"{np.abs(domains.mean(0) - paper.curve('QAM').success).max():.4f}")

# %% [markdown]
# ## The curves
#
# One million offline updates (shaded), then the online phase. RLPD has no offline phase and starts with the dataset
# in its replay buffer. Colored bands are 95% intervals.

# %% [hidden]
CHOSEN = {"QAM-E": "#D55E00", "QAM-F": "#E69F00", "QAM": "#0072B2", "FQL": "#009E73", "RLPD": "#333333"}


def draw(ax, name):
    """All methods in gray, the chosen ones in color with their intervals."""
    ax.axvspan(0, 1, color="#000000", alpha=0.05, linewidth=0)
    for method in METHODS:
        curve, chosen = paper.curve(method, name), method in CHOSEN
        x = (1_000_000 + curve.online_steps if method == "RLPD" else curve.steps) / 1e6
        style = {"color": CHOSEN.get(method, "#BBBBBB"), "zorder": 2 + chosen}
        ax.plot(x, curve.success, linewidth=1.6 if chosen else 0.7, **style)
        if chosen:
            ax.fill_between(x, curve.low, curve.high, alpha=0.2, linewidth=0, **style)
    ax.set(ylim=(-0.02, 1.02), xlim=(0, 1.5))
    ax.set_title(name, fontsize=9)


def add_legend(owner, **options):
    """A legend of the chosen methods and the others."""
    lines = [plt.Line2D([], [], color=color, label=method) for method, color in CHOSEN.items()]
    lines.append(plt.Line2D([], [], color="#BBBBBB", label="other methods"))
    owner.legend(handles=lines, frameon=False, **options)


# %%
figure, ax = plt.subplots(figsize=(8, 4), dpi=90, layout="constrained")
draw(ax, "all")
ax.set_title("all domains")
ax.set(xlabel="million offline updates, then million online steps", ylabel="success rate, fifty tasks")
add_legend(ax, loc="upper left")
plt.show()

# %%
figure, axes = plt.subplots(2, 5, figsize=(13, 4.8), dpi=80, sharex=True, sharey=True, layout="constrained")
for ax, domain in zip(axes.flat, paper.domains, strict=True):
    draw(ax, domain)
figure.supxlabel("million offline updates, then million online steps", fontsize=9)
figure.supylabel("success rate, five tasks", fontsize=9)
add_legend(figure, loc="outside upper center", ncols=6)
plt.show()

# %% [markdown]
# ## Compare your own runs
#
# Such a run takes hours on a GPU. The following cells therefore use **invented runs**: directories in the format of
# `qam-train`, with `config.yaml` and `metrics.csv`. Their success rates are drawn at random around the published
# rates of QAM, with fifty episodes per evaluation. For your own sweep, skip the next cell and set `runs` to its
# directory.

# %%
runs = Path("runs/notebook/invented")

# %% [hidden]
generator = np.random.default_rng(0)


def invent(task, seeds=(1, 2, 3, 4, 5)):
    """Write an invented run of five seeds."""
    directory = runs / f"task{task}"
    directory.mkdir(parents=True, exist_ok=True)
    overrides = ["experiment=paper", "algo=qam", "env=cube-double-play", f"task={task}", f"seeds={list(seeds)}"]
    config = qam_torch.compose([*overrides, f"run_dir={directory}"])
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    with open(directory / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "phase", "update", "seed", "seconds", "evaluation/success"])
        for offline, online, success, *_ in paper.curve("qam", "cube-double-play", task).figures:
            step, phase = offline + online, "online" if online else "offline"
            writer.writerows(
                [step, phase, step, seed, step / 100, generator.binomial(50, success) / 50] for seed in seeds
            )
    summary = {"offline_steps": 1_000_000, "online_steps": 500_000, "final": {}}
    (directory / "summary.json").write_text(json.dumps(summary))


for task in range(1, 6):
    invent(task)

# %% [markdown]
# `qam-report` finds all runs below a directory, finished or not. On the command line it is
# `qam-report runs/notebook/invented --out runs/notebook/invented-report`.

# %%
out = Path("runs/notebook/invented-report")
counted, *results, where = write_report([runs], out)
print(counted, *results, sep="\n")

# %% [markdown]
# It writes a page, `report.html`, and the same content as Markdown, LaTeX and CSV. The curves, with the published
# curves dashed in the same color:

# %%
Image(filename=out / "figures" / "cube-double-play-curves.png", width=1000)

# %% [markdown]
# Its tables have every result with the published one beside it, the difference, and whether the intervals overlap. Five
# seeds and fifty episodes are few: even these runs, which are drawn from the published rates, differ from them by a few
# percent per task.

# %%
text = (out / "report.md").read_text()
Markdown(text.partition("## cube-double-play\n")[2].partition("![")[0])

# %% [markdown]
# For your own figures, read `metrics.csv`, which has one row per seed and evaluation. `steps` of a curve counts steps
# in the same way as a run.

# %%
with open(runs / "task2" / "metrics.csv", newline="") as file:
    own = np.array([[float(row["step"]) / 1e6, float(row["evaluation/success"])] for row in csv.DictReader(file)])
curve = paper.curve("qam", "cube-double-play", task=2)
figure, ax = plt.subplots(figsize=(7, 3), dpi=90, layout="constrained")
ax.fill_between(curve.steps / 1e6, curve.low, curve.high, color="#0072B2", alpha=0.2, linewidth=0, label="95% interval")
ax.plot(curve.steps / 1e6, curve.success, color="#0072B2", label="published, twelve seeds")
ax.plot(*own.T, "o", markersize=3, color="#D55E00", label="invented, five seeds")
ax.axvline(1, color="#333333", linestyle=":", linewidth=0.8)
ax.set(title="cube-double-play, task 2", ylabel="success rate", ylim=(0, 1.02))
ax.set_xlabel("million offline updates, then million online steps (after the dotted line)")
ax.legend(frameon=False)
plt.show()
