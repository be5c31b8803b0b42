# %% [markdown]
# # QAM, step by step
#
# One run on a maze without Trainer and command line: the data, the three losses of an update, the critic as it
# spreads from the goal, the noisy paths in the space of actions with the lean adjoints along them, and the policy
# before and after. Actions are kept two-dimensional here (`action_chunking=false`: returns over five steps, but one
# action at a time), so that everything can be drawn. [Concepts](../docs/concepts.md) has the equations.

# %%
import functools

import matplotlib.pyplot as plt
import torch

import qam_torch
from qam_torch.algorithms import QAM, NamedNoise
from qam_torch.data.sampler import ChunkSampler
from qam_torch.experiment.evaluator import evaluate_members
from qam_torch.experiment.inputs import build_data
from qam_torch.experiment.maps import draw_maze, trajectories_figure
from qam_torch.flows import node_sigmas
from qam_torch.rollout.environments import make_environment
from qam_torch.rollout.pool import EnvironmentPool

config = qam_torch.compose(["experiment=quickstart", "task=3", "algo.action_chunking=false", "algo.flow_steps=5"])

# %% [markdown]
# ## The data
#
# A noisy oracle walks from one random place of the maze to another; nobody in the data tries to reach *this* goal.
# The task's rewards, −1 a step until the goal is reached, are computed from the positions. The observation is the
# position, the action a push in x and y.

# %%
data = build_data(config, torch.device("cpu"))
transitions, layout = data.transitions, data.layout
print(f"{transitions.num_transitions} transitions in {transitions.num_episodes} episodes")

figure, ax = plt.subplots(figsize=(4.2, 4.2), dpi=80, layout="constrained")
draw_maze(ax, layout)
for colour, start in enumerate((0, 5000, 10_000)):
    ax.plot(*transitions.states[start : start + 800].T, linewidth=0.8, color=f"C{colour}")
ax.set(title="three pieces of the data")
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
sampler = ChunkSampler(transitions, algorithm.horizon_length, config.algo.discount, batch_size=128, seeds=[0])
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
# It begins with random values and is trained in three stages. The map shows $\max_a \operatorname{mean}_k Q_k(s, a)$ over a grid of actions: minus
# the discounted number of steps that are left. It spreads from the goal, around the corners.

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
for ax, updates in zip(axes, (500, 2000, 5000), strict=True):
    train(updates - done)
    done = updates
    draw_maze(ax, layout)
    dots = ax.scatter(*free.T, c=values(free), s=9, marker="s", cmap="viridis", vmin=-100, vmax=0)
    ax.set(title=f"{updates} updates", xticks=[], yticks=[])
figure.colorbar(dots, ax=axes, label="value")
plt.show()

# %% [markdown]
# ## Paths and lean adjoints
#
# At the start, marked in the maze: the critic over all actions, twelve paths of the memoryless SDE of $f_\theta$ from
# noise to action, and along them $-\sigma_i^2 g_i / 2$, what adjoint matching asks to be added to the velocity of
# $f_\beta$. At the ends, the critic's own gradient; further back, what it means there.

# %%
place = torch.tensor([8.0, 16.0])
rows = 12
here = batch._replace(observations=place.expand(1, rows, 2), next_observations=place.expand(1, rows, 2))
torch.manual_seed(3)
draws = {"sde_x0": torch.randn(1, rows, 2), "sde_noise": torch.randn(1, algorithm.flow_steps - 1, rows, 2)}
with torch.no_grad():
    targets = algorithm.matching_targets(here, draws)
xs, adjoints = targets.xs[:, 0], targets.lean_adjoints[:, 0]
asked = -(node_sigmas(algorithm.flow_steps, xs) ** 2) * adjoints / 2

grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 41)] * 2)
with torch.no_grad():
    q = algorithm.network("critic")(place.expand(1, len(grid), 2), grid[None]).mean(-2).view(41, 41)

figure, (ax, maze) = plt.subplots(1, 2, figsize=(9.5, 4.4), dpi=80, layout="constrained")
ax.contourf(grid[:, 0].view(41, 41), grid[:, 1].view(41, 41), q, levels=15, cmap="viridis", alpha=0.7)
ax.plot(*xs.unbind(-1), color="#555555", linewidth=0.7)
ax.plot(*xs[0].T, "o", markersize=3, color="#BBBBBB")
arrows = {"angles": "xy", "scale_units": "xy", "scale": 3, "width": 0.004, "color": "#D55E00"}
ax.quiver(*xs.flatten(0, 1).T, *asked.flatten(0, 1).T, **arrows)
ax.set(title="critic in the action box, SDE paths, corrections", xlabel="push in x", ylabel="push in y", aspect="equal")
draw_maze(maze, layout)
maze.plot(*place, "X", markersize=12, color="#D55E00")
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
