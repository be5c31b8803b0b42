# %% [markdown]
# # QAM step by step
#
# This notebook trains QAM on a maze without the Trainer and the command line. It shows the data, the three losses of an
# update, the critic during training, the lean adjoints on paths in action space, and the policy before and after
# fine-tuning. Actions are two-dimensional, so that everything can be drawn (`action_chunking=false`: five-step returns,
# but one action at a time). [Concepts](../docs/concepts.md) has the equations.

# %%
import functools
import os

import matplotlib.pyplot as plt
import torch

import qam_torch
from qam_torch.algorithms import QAM, NamedNoise
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.windows import ChunkWindows
from qam_torch.envs.ogbench import make_environment
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.flows import node_sigmas
from qam_torch.inference.episodes import evaluate_members
from qam_torch.plotting.mazes import draw_maze, trajectories_figure
from qam_torch.suites import load_data
from qam_torch.training.settings import read_settings

config = qam_torch.compose(["experiment=quickstart", "task=3", "algo.action_chunking=false", "algo.flow_steps=5"])

# %% [markdown]
# ## The data
#
# A noisy oracle walks between random places of the maze; no trajectory aims at the goal of this task. The rewards of
# the task are computed from the positions: −1 per step until the goal is reached. The observation is the position.
# The action is a push in x and y.

# %%
data = load_data(read_settings(config).request, torch.device("cpu"))
transitions, layout = data.transitions, data.layout
print(f"{transitions.num_transitions:,} transitions in {transitions.num_episodes} episodes")

# %% [hidden]
figure, ax = plt.subplots(figsize=(4.2, 4.2), dpi=80, layout="constrained")
draw_maze(ax, layout)
length = transitions.num_transitions // transitions.num_episodes + 1  # states of an episode
for episode in range(3):
    ax.plot(*transitions.states[episode * length : (episode + 1) * length].T, linewidth=0.8, color=f"C{episode}")
ax.set(title="three episodes of the data", xlabel="x (m)", ylabel="y (m)")
figure.legend(loc="outside lower center", ncols=2, frameon=False)
plt.show()

# %% [markdown]
# ## An update
#
# An update draws a batch and all noise, by name. `losses` returns three losses, each with the networks that it
# trains: the critic by temporal differences, the behavior flow $f_\beta$ by flow matching, and the policy flow
# $f_\theta$ by adjoint matching.

# %%
options = {name: config.algo[name] for name in ("horizon_length", "discount", "rho", "num_qs", "flow_steps", "lr")}
widths = {"actor_hidden_dims": [128, 128], "value_hidden_dims": [128, 128]}
algorithm = QAM(
    observation_dim=data.observation_dim,
    action_dim=data.action_dim,
    action_chunking=False,
    inv_temp=10.0,
    target_update_rate=0.01,
    **options,
    **widths,
)
algorithm.configure_optimizers()
windows = ChunkWindows(transitions, algorithm.horizon_length, config.algo.discount)
sampler = ChunkSampler(windows, batch_size=128, seeds=[0])
noise = NamedNoise(algorithm.draws(128), algorithm.seeds, "update")

batch = sampler.sample(1).unbind()[0]
batch = batch._replace(actions=batch.actions[..., :2])
draws = {name: draw[0] for name, draw in noise.sample(1).items()}
print("observations", tuple(batch.observations.shape), "(members, rows, values)")
print("noise:", {name: tuple(draw.shape) for name, draw in draws.items()})
for term in algorithm.losses(batch, draws):
    print(
        f"{'+'.join(term.trains):>8} is trained by", ", ".join(f"{k} {float(v):.3f}" for k, v in term.metrics().items())
    )

# %% [markdown]
# ## The critic
#
# The next cell trains in three stages. The map shows $\max_a \operatorname{mean}_k Q_k(s, a)$ over a grid of actions,
# which estimates minus the discounted number of remaining steps. The values spread from the goal around the corners.
# After 2,000 updates the values in the bottom left corner are still too high.

# %% [hidden]
WAYS = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 2)


def train(updates, block=100):
    for _ in range(updates // block):
        drawn = noise.sample(block)
        for i, one in enumerate(sampler.sample(block).unbind()):
            algorithm.update(one, {name: draw[i] for name, draw in drawn.items()})


@torch.no_grad()
def values(positions):
    """max_a mean_k Q_k(s, a) of positions (n, 2)."""
    states = positions.repeat_interleave(len(WAYS), 0)[None]
    q = algorithm.network("critic")(states, WAYS.repeat(len(positions), 1)[None]).mean(-2)
    return q.view(len(positions), -1).amax(-1)


# %%
left, right, bottom, top = layout.extent
places = torch.cartesian_prod(torch.linspace(left, right, 57), torch.linspace(bottom, top, 57))
free = places[~torch.from_numpy(layout.is_wall(places.numpy()))]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), dpi=80, layout="constrained")
done = 0
stages = (500, 2000, 10_000) if "SHORT_NOTEBOOKS" not in os.environ else (100, 200, 300)  # set by the tests
for ax, updates in zip(axes, stages, strict=True):
    train(updates - done)
    done = updates
    draw_maze(ax, layout)
    dots = ax.scatter(*free.T, c=values(free), s=9, marker="s", cmap="viridis", vmin=-80, vmax=0)
    ax.set(title=f"{updates:,} updates", xlabel="x (m)")
axes[0].set_ylabel("y (m)")
figure.colorbar(dots, ax=axes, label="value")
plt.show()

# %% [markdown]
# ## Paths and lean adjoints
#
# The figure shows the action plane at the start position. Colors are the critic's values. Gray lines are three paths
# of the memoryless SDE of $f_\theta$, from noise to the time of the panel. Adjoint matching trains the correction
# $-\sigma_i^2 g_i / 2$ to the velocity of $f_\beta$. Arrows are the mean correction over all paths near a point, and
# each panel states the length of its longest arrow. The last panel shows the resulting actions.

# %%
rows = 4000
start = torch.as_tensor(layout.start, dtype=torch.float32).expand(1, rows, 2)
here = batch._replace(observations=start, next_observations=start)
torch.manual_seed(3)
draws = {"sde_x0": torch.randn(1, rows, 2), "sde_noise": torch.randn(1, algorithm.flow_steps - 1, rows, 2)}
with torch.no_grad():
    targets = algorithm.matching_targets(here, draws)
    actions = algorithm.policy(start, {"noise": torch.randn(1, rows, 2)})[0]
xs, adjoints = targets.xs[:, 0], targets.lean_adjoints[:, 0]
corrections = -(node_sigmas(algorithm.flow_steps, xs) ** 2) * adjoints / 2

# %% [hidden]
grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 41)] * 2)
with torch.no_grad():
    q = algorithm.network("critic")(start[:, : len(grid)], grid[None]).mean(-2).view(41, 41)


def means(x, arrows, width=0.4, least=15):
    """Mean point and arrow in each grid cell that contains enough paths."""
    _, cell, count = (x / width).round().unique(dim=0, return_inverse=True, return_counts=True)
    total = torch.zeros(len(count), 4).index_add_(0, cell, torch.cat([x, arrows], -1))
    return (total / count[:, None])[count >= least].T


figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), dpi=80, sharey=True, layout="constrained")
for ax, i in zip(axes, (1, 2, 3, None), strict=True):
    values_of = ax.contourf(grid[:, 0].view(41, 41), grid[:, 1].view(41, 41), q, levels=15, cmap="viridis", alpha=0.6)
    if i is None:
        ax.plot(*actions[:500].T, "o", markersize=2, color="#D55E00")
        ax.set_title("actions of f_theta")
    else:
        ax.plot(*xs[: i + 1, :3].unbind(-1), color="#555555", linewidth=0.7)
        x, y, u, v = means(xs[i], corrections[i])
        scale = float((u**2 + v**2).sqrt().max())
        ax.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=scale, width=0.007, color="#D55E00")
        ax.set_title(f"t = {i / algorithm.flow_steps:.1f}, longest arrow {scale:.2g}", fontsize=10)
    ax.set(xlabel="push in x", aspect="equal", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))
axes[0].set_ylabel("push in y")
figure.colorbar(values_of, ax=axes, label="mean of Q over critics")
plt.show()

# %% [markdown]
# ## The policy before and after
#
# Six actions of $f_\beta$ and of $f_\theta$ at points in the whole maze, from the same noise. The behavior flow moves
# in all directions, because the walkers in the data have random goals. The fine-tuned policy moves towards higher
# values.

# %% [hidden]
spots = torch.cartesian_prod(torch.arange(-0.0, 21, 2.0), torch.arange(-0.0, 21, 2.0))
spots = spots[~torch.from_numpy(layout.is_wall(spots.numpy()))].repeat_interleave(6, 0)
z = {"noise": torch.randn(1, len(spots), 2)}
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.6), dpi=80, layout="constrained")
for ax, (name, policy) in zip(
    axes, {"behavior flow f_beta": algorithm.behavior_policy, "policy f_theta": algorithm.policy}.items(), strict=True
):
    with torch.no_grad():
        actions = policy(spots[None], z)[0]
    draw_maze(ax, layout)
    ax.quiver(*spots.T, *actions.T, angles="xy", scale_units="xy", scale=0.6, width=0.003, color="#0072B2", alpha=0.6)
    ax.set(title=name, xlabel="x (m)")
axes[0].set_ylabel("y (m)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
plt.show()

# %% [markdown]
# ## Episodes in the maze
#
# Twenty episodes of each policy, evaluated in worker processes.

# %%
make = functools.partial(make_environment, config.env.dataset, task=3)
with EnvironmentPool(make, count=20, workers=2) as pool:
    shown = {
        policy: evaluate_members(algorithm, pool, 20, 2, 0, "notebook", policy, record_positions=True)
        for policy in ("policy", "behavior_policy")
    }
after, before = shown["policy"], shown["behavior_policy"]
trajectories_figure(
    layout, after.trajectories, after.success[0], compare=(before.trajectories, before.success[0], "behavior flow")
)
