# %% [markdown]
# # QAM, step by step
#
# One run on a maze without Trainer and command line: the data, the three losses of an update, the critic as it
# spreads from the goal, the noisy paths in the space of actions with the lean adjoints along them, and the policy
# before and after. Actions are kept two-dimensional here (`action_chunking=false`: returns over five steps, but one
# action at a time), so that everything can be drawn. [Concepts](../docs/concepts.md) has the equations.

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
# A noisy oracle walks from one random place of the maze to another; nobody in the data tries to reach *this* goal.
# The task's rewards, −1 a step until the goal is reached, are computed from the positions. The observation is the
# position, the action a push in x and y.

# %%
data = load_data(read_settings(config).request, torch.device("cpu"))
transitions, layout = data.transitions, data.layout
print(f"{transitions.num_transitions} transitions in {transitions.num_episodes} episodes")

figure, ax = plt.subplots(figsize=(4.2, 4.2), dpi=80, layout="constrained")
draw_maze(ax, layout)
length = transitions.num_transitions // transitions.num_episodes + 1  # states of an episode
for episode in range(3):
    ax.plot(*transitions.states[episode * length : (episode + 1) * length].T, linewidth=0.8, color=f"C{episode}")
ax.set(title="three episodes of the data")
plt.show()

# %% [markdown]
# ## An update
#
# A batch is drawn and so is all noise, by name. `losses` gives the three losses, each with the networks that it moves
# and no other: the critic by temporal differences, the behaviour flow $f_\beta$ by flow matching, the policy flow
# $f_\theta$ by adjoint matching.

# %%
numbers = {name: config.algo[name] for name in ("horizon_length", "discount", "rho", "num_qs", "flow_steps", "lr")}
widths = {"actor_hidden_dims": [128, 128], "value_hidden_dims": [128, 128]}
algorithm = QAM(
    observation_dim=data.observation_dim,
    action_dim=data.action_dim,
    action_chunking=False,
    inv_temp=10.0,
    target_update_rate=0.01,
    **numbers,
    **widths,
)
algorithm.configure_optimizers()
windows = ChunkWindows(transitions, algorithm.horizon_length, config.algo.discount)
sampler = ChunkSampler(windows, batch_size=128, seeds=[0])
noise = NamedNoise(algorithm.draws(128), algorithm.seeds, "update")

batch = sampler.sample(1).unbind()[0]
batch = batch._replace(actions=batch.actions[..., :2])
draws = {name: draw[0] for name, draw in noise.sample(1).items()}
print("observations", tuple(batch.observations.shape), "(members, rows, numbers)")
print("noise:", {name: tuple(draw.shape) for name, draw in draws.items()})
for term in algorithm.losses(batch, draws):
    print(
        f"{'+'.join(term.trains):>8} is moved by", ", ".join(f"{k} {float(v):.3f}" for k, v in term.metrics().items())
    )

# %% [markdown]
# ## The critic
#
# It is trained in three stages. The map shows $\max_a \operatorname{mean}_k Q_k(s, a)$ over a grid of actions: minus
# the discounted number of steps that are left. It spreads from the goal, around the corners. (Bottom left it is still
# too high.)

# %%
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


left, right, bottom, top = layout.extent
places = torch.cartesian_prod(torch.linspace(left, right, 57), torch.linspace(bottom, top, 57))
free = places[~torch.from_numpy(layout.is_wall(places.numpy()))]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), dpi=80, layout="constrained")
done = 0
stages = (500, 2000, 5000) if "SHORT_NOTEBOOKS" not in os.environ else (100, 200, 300)  # the tests set it
for ax, updates in zip(axes, stages, strict=True):
    train(updates - done)
    done = updates
    draw_maze(ax, layout)
    dots = ax.scatter(*free.T, c=values(free), s=9, marker="s", cmap="viridis", vmin=-80, vmax=0)
    ax.set(title=f"{updates} updates", xticks=[], yticks=[])
figure.colorbar(dots, ax=axes, label="value")
plt.show()

# %% [markdown]
# ## Paths and lean adjoints
#
# At the start, in the plane of actions: the critic over all of them in the box, and paths of the memoryless SDE of
# $f_\theta$ from noise to action. Adjoint matching asks for $-\sigma_i^2 g_i / 2$ to be added to the velocity of
# $f_\beta$; the arrows are its mean over the paths that come by a place, each panel to a scale of its own. Three paths
# are shown up to there, and in the last panel the actions at which all end.

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
asked = -(node_sigmas(algorithm.flow_steps, xs) ** 2) * adjoints / 2

grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 41)] * 2)
with torch.no_grad():
    q = algorithm.network("critic")(start[:, : len(grid)], grid[None]).mean(-2).view(41, 41)


def means(x, arrows, width=0.4, least=15):
    """Mean place and arrow of each cell of a grid with enough paths in it."""
    _, cell, count = (x / width).round().unique(dim=0, return_inverse=True, return_counts=True)
    total = torch.zeros(len(count), 4).index_add_(0, cell, torch.cat([x, arrows], -1))
    return (total / count[:, None])[count >= least].T


figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), dpi=80, sharey=True, layout="constrained")
for ax, i in zip(axes, (1, 2, 3, None), strict=True):
    ax.contourf(grid[:, 0].view(41, 41), grid[:, 1].view(41, 41), q, levels=15, cmap="viridis", alpha=0.6)
    if i is None:
        ax.plot(*actions[:500].T, "o", markersize=2, color="#D55E00")
        ax.set_title("actions of f_theta")
    else:
        ax.plot(*xs[: i + 1, :3].unbind(-1), color="#555555", linewidth=0.7)
        x, y, u, v = means(xs[i], asked[i])
        scale = float((u**2 + v**2).sqrt().max())
        ax.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=scale, width=0.007, color="#D55E00")
        ax.set_title(f"t = {i / algorithm.flow_steps:.1f}")
    ax.set(xlabel="push in x", aspect="equal", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))
axes[0].set_ylabel("push in y")
plt.show()

# %% [markdown]
# ## The policy before and after
#
# Six actions of $f_\beta$ and of $f_\theta$ at places all over the maze, from the same noise. The behaviour goes
# everywhere, for its walkers were on their way to anywhere; tilted by the critic it goes where the value rises.

# %%
spots = torch.cartesian_prod(torch.arange(-0.0, 21, 2.0), torch.arange(-0.0, 21, 2.0))
spots = spots[~torch.from_numpy(layout.is_wall(spots.numpy()))].repeat_interleave(6, 0)
z = {"noise": torch.randn(1, len(spots), 2)}
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.6), dpi=80, layout="constrained")
for ax, (name, policy) in zip(
    axes, {"f_beta": algorithm.behavior_policy, "f_theta": algorithm.policy}.items(), strict=True
):
    with torch.no_grad():
        actions = policy(spots[None], z)[0]
    draw_maze(ax, layout)
    ax.quiver(*spots.T, *actions.T, angles="xy", scale_units="xy", scale=0.6, width=0.003, color="#0072B2", alpha=0.6)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## In the maze

# %%
make = functools.partial(make_environment, config.env.dataset, task=3)
with EnvironmentPool(make, count=20, workers=2) as pool:
    shown = {
        policy: evaluate_members(algorithm, pool, 20, 2, 0, "notebook", policy, record_positions=True)
        for policy in ("policy", "behavior_policy")
    }
after, before = shown["policy"], shown["behavior_policy"]
trajectories_figure(
    layout, after.trajectories, after.success[0], compare=(before.trajectories, before.success[0], "behaviour flow")
)
