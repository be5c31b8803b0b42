# %% [markdown]
# # Reading the paper's results
#
# The success rates of [Li & Levine 2026](https://arxiv.org/abs/2601.14234) are shipped with the package: all
# methods on the fifty tasks of ten domains, every 50 000 steps, twelve seeds each, derived from the authors' released
# experiment data. Here are their tables and curves, and how to lay runs of one's own over them.
#
# The results of RQL, from [another paper](https://arxiv.org/abs/2606.17551), are shipped too, and left out here. Third
# parties transcribed them; `Curve.doubts` states why they may be wrong.

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
# `curve` takes a method, by the paper's name or by that of `algo=`, and a domain, one task of it, or `"all"`. `at`
# gives one figure: after so many gradient updates offline and, if asked, so many environment steps online.

# %%
curve = paper.curve("qam_e", "cube-triple-play", task=2)
print(curve.method, "on", curve.name, "over", curve.seeds, "seeds")
print(curve.at(1_000_000))
print(curve.at(1_000_000, 500_000))

# %% [markdown]
# ## The tables
#
# Success in percent. A figure is bold where its 95 % interval reaches the best figure's of its column. Two domains,
# cube-quadruple and puzzle-4x4, were run on the data sets of 100 million transitions.

# %%
PLACES = ["all", *paper.domains]


def table(offline, online=0):
    """All methods on all domains at one step, best on all domains first."""
    begun = {"RLPD": 0}  # it begins online
    found = {m: [paper.curve(m, place).at(begun.get(m, offline), online) for place in PLACES] for m in METHODS}
    found = {m: figures for m, figures in found.items() if None not in figures}
    best = [max(column, key=lambda figure: figure.success) for column in zip(*found.values(), strict=True)]
    lines = ["| method | " + " | ".join(PLACES) + " |", "| --- |" + " ---: |" * len(PLACES)]
    for method, figures in sorted(found.items(), key=lambda row: -row[1][0].success):
        told = [
            f"**{100 * figure.success:.1f}**" if figure.high >= top.low else f"{100 * figure.success:.1f}"
            for figure, top in zip(figures, best, strict=True)
        ]
        lines.append(f"| {method} | " + " | ".join(told) + " |")
    return Markdown("\n".join(lines))


table(1_000_000)

# %% [markdown]
# After 500 000 environment steps online on top, with RLPD, which begins online and has had only these:

# %%
table(1_000_000, 500_000)

# %% [markdown]
# A domain's figure is the mean of its five tasks, that of all the mean of the domains, so that nothing hides in the
# weights. By how much the shipped figures, rounded as they are, depart from it:

# %%
tasks = [[paper.curve("QAM", domain, task).success for task in range(1, 6)] for domain in paper.domains]
domains = np.array([paper.curve("QAM", domain).success for domain in paper.domains])
print(f"{np.abs(np.mean(tasks, axis=1) - domains).max():.4f}")
print(f"{np.abs(domains.mean(0) - paper.curve('QAM').success).max():.4f}")

# %% [markdown]
# ## The curves
#
# One million updates offline, shaded, then the online phase. RLPD has no offline phase and begins with the data in
# its replay buffer.

# %%
CHOSEN = {"QAM-E": "#D55E00", "QAM-F": "#E69F00", "QAM": "#0072B2", "FQL": "#009E73", "RLPD": "#333333"}


def draw(ax, name):
    """All methods in grey, the chosen ones in colour with their intervals."""
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


figure, ax = plt.subplots(figsize=(8, 4), dpi=90, layout="constrained")
draw(ax, "all")
ax.set_title("all domains")
for method, color in CHOSEN.items():
    ax.plot([], color=color, label=method)
ax.plot([], color="#BBBBBB", label="the others")
ax.set(xlabel="million updates offline, then steps online", ylabel="success, fifty tasks")
ax.legend(frameon=False, loc="upper left")
plt.show()

# %%
figure, axes = plt.subplots(2, 5, figsize=(13, 4.8), dpi=80, sharex=True, sharey=True, layout="constrained")
for ax, domain in zip(axes.flat, paper.domains, strict=True):
    draw(ax, domain)
plt.show()

# %% [markdown]
# ## Own runs over them
#
# A run of these takes hours on a GPU, so what follows stands on **invented runs**: directories as `qam-train` leaves
# them, with `config.yaml` and `metrics.csv`, whose successes are drawn at random around the published ones of QAM,
# fifty episodes an evaluation. Leave this cell out and put the directory of your own sweep into `runs`.

# %%
runs = Path("runs/notebook/invented")
dice = np.random.default_rng(0)


def invent(task, seeds=(1, 2, 3, 4, 5)):
    """A run of five seeds."""
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
            writer.writerows([step, phase, step, seed, step / 100, dice.binomial(50, success) / 50] for seed in seeds)
    summary = {"offline_steps": 1_000_000, "online_steps": 500_000, "final": {}}
    (directory / "summary.json").write_text(json.dumps(summary))


for task in range(1, 6):
    invent(task)

# %% [markdown]
# `qam-report` finds all runs below a directory, finished or not. On the command line it is
# `qam-report runs/notebook/invented --out runs/notebook/invented-report`.

# %%
out = Path("runs/notebook/invented-report")
counted, *told, where = write_report([runs], out)
print(counted, *told, sep="\n")

# %% [markdown]
# It leaves a page, `report.html`, and the same as Markdown, LaTeX and tables. The curves, with the published ones
# dashed in the same colour:

# %%
Image(filename=out / "figures" / "cube-double-play-curves.png", width=1000)

# %% [markdown]
# Its tables have every figure with the published one beside it, the difference, and whether the intervals overlap.
# Five seeds and fifty episodes are few: even runs drawn from the published rates themselves, as these are, differ
# from them by a few percent on a task.

# %%
text = (out / "report.md").read_text()
Markdown(text.partition("## cube-double-play\n")[2].partition("![")[0])

# %% [markdown]
# By hand, where the report is not what is wanted: `metrics.csv` has a row for each seed and evaluation, and `steps`
# of a curve counts as a run counts its own.

# %%
with open(runs / "task2" / "metrics.csv", newline="") as file:
    own = np.array([[float(row["step"]) / 1e6, float(row["evaluation/success"])] for row in csv.DictReader(file)])
curve = paper.curve("qam", "cube-double-play", task=2)
figure, ax = plt.subplots(figsize=(7, 3), dpi=90, layout="constrained")
ax.fill_between(curve.steps / 1e6, curve.low, curve.high, color="#0072B2", alpha=0.2, linewidth=0)
ax.plot(curve.steps / 1e6, curve.success, color="#0072B2", label="published, twelve seeds")
ax.plot(*own.T, "o", markersize=3, color="#D55E00", label="invented, five seeds")
ax.axvline(1, color="#333333", linestyle=":", linewidth=0.8)
ax.set(title="cube-double-play, task 2", xlabel="million updates offline, then steps online", ylim=(0, 1.02))
ax.legend(frameon=False)
plt.show()
