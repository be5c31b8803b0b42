# %% [markdown]
# # Adjoint matching in two dimensions
#
# A flow $f_\beta$ samples a density $p_\beta$; a critic $Q$ says what is good. Wanted is a flow that samples
#
# $$p(x) \;\propto\; p_\beta(x)\, e^{\tau Q(x)} .$$
#
# Here both are known in closed form, so that the wanted density can be drawn exactly, and everything that is seen is
# the method's own doing. Four things are shown: the process that adjoint matching samples, the adjoints that it
# regresses onto, what it comes to beside two ways that miss, and why the adjoint has to be the *lean* one.
# [Concepts](../docs/concepts.md#adjoint-matching) has the equations, [Theory](../docs/theory.md) the tests.

# %%
import os
import sys

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

sys.path.insert(0, "../scripts")  # the closed forms that the tests and docs/theory.md use, too
from closed_form import rejection_sampler
from tilted_density import LinearCorrection, MLPCorrection, gaussian_problem, mixture_problem, sliced_wasserstein

from qam_torch.flows import (
    adjoint_matching_loss,
    lean_adjoint,
    memoryless_sigma,
    node_sigmas,
    sample_flow,
    sample_memoryless,
    terminal_adjoint,
)

generator = torch.Generator().manual_seed(0)
share_of_updates = 0.05 if "SHORT_NOTEBOOKS" in os.environ else 1.0  # the tests set it


def normal(*shape):
    return torch.randn(*shape, generator=generator)


# %% [markdown]
# ## The problem
#
# Six modes on a ring. The critic likes two of them, and as much a place inside the ring where $p_\beta$ has next to
# no mass: learned critics overrate actions that are in no data. The wanted density has nothing there.

# %%
problem = mixture_problem()
base, Q, inv_temp = problem.base, problem.value, problem.inv_temp
exact = problem.exact(20_000, generator)
axis = torch.linspace(-3.3, 3.3, 200)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


def panel(ax, title, density=None, samples=None, color="#0072B2"):
    """A density or samples over the critic's contours."""
    ax.contour(axis, axis, Q(plane), levels=[0.2, 0.4, 0.6, 0.8, 1.0], colors="#333333", linewidths=0.6, alpha=0.35)
    if density is not None:
        ax.imshow(density, extent=(-3.3, 3.3) * 2, origin="lower", cmap="Blues")
    if samples is not None:
        ax.scatter(*samples[:3000].T, s=3, color=color, alpha=0.35, linewidths=0)
    ax.set(title=title, xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), xticks=[], yticks=[], aspect="equal")


def row_of(count):
    return plt.subplots(1, count, figsize=(3.1 * count, 3.4), dpi=90, layout="constrained")


figure, axes = row_of(3)
log_p = base.log_density(plane)
panel(axes[0], r"$p_\beta$", density=log_p.exp())
panel(axes[1], "critic $Q$ (the lower bump: no data)", density=Q(plane))
panel(axes[2], r"wanted: $p_\beta\, e^{\tau Q}$", density=(log_p + inv_temp * Q(plane)).exp())
plt.show()

# %% [markdown]
# ## A process that forgets where it began
#
# Fine-tuning is done along a noisy process with the same densities at every $t$ as the flow. With the *memoryless*
# noise level its end $X_1$ is independent of its beginning $X_0$; with the flow itself, or any other noise level, it
# is not, and what is learned comes out biased. Colour says in which direction $X_0$ lay.

# %%
steps = 40
x_0, noise = normal(3000, 2), normal(steps - 1, 3000, 2)
ends = {
    "the flow's ODE": sample_flow(base.velocity, x_0, steps),
    "the memoryless SDE": sample_memoryless(base.velocity, base.velocity, x_0, noise, steps).x_1,
}
figure, axes = row_of(2)
for ax, (name, x_1) in zip(axes, ends.items(), strict=True):
    panel(ax, f"$X_1$ of {name}")
    ax.scatter(*x_1.T, s=4, c=torch.atan2(*x_0.T), cmap="twilight", linewidths=0)
    correlation = torch.corrcoef(torch.stack([x_0[:, 0], x_1[:, 0]]))[0, 1]
    print(f"{name}: correlation of X_0 and X_1 {correlation:+.2f}")
plt.show()

# %% [markdown]
# ## Lean adjoints
#
# At the end of a path the critic's gradient is asked once. The lean adjoint carries it back along the path, by the
# base flow's Jacobian alone: $g_i$ says how the end would change with $X_i$. By $-\sigma_i^2 g_i / 2$ the velocity at
# $X_i$ is to be corrected. Of one path that is noise; its mean at a place, drawn here from 10 000 paths, is what the
# regression finds: early, towards the modes that the critic likes; late, only up the critic within a mode, for it is
# too late to change to another. (Grey: three paths. The arrows are drawn at a tenth of their length, the
# last ones at a third.)

# %%
path = sample_memoryless(base.velocity, base.velocity, normal(10_000, 2), normal(steps - 1, 10_000, 2), steps)
adjoints = lean_adjoint(base.velocity, path.xs, terminal_adjoint(Q, path.x_1, inv_temp))
corrections = -(node_sigmas(steps, path.xs) ** 2) * adjoints / 2


def means(x, arrows, width=0.5, least=10):
    """Mean place and arrow of each cell of a grid with enough paths in it."""
    _, cell, count = (x / width).round().unique(dim=0, return_inverse=True, return_counts=True)
    total = torch.zeros(len(count), 4).index_add_(0, cell, torch.cat([x, arrows], -1))
    return (total / count[:, None])[count >= least].T


figure, axes = row_of(3)
for ax, i, scale in zip(axes, (12, 24, 34), (10, 10, 3), strict=True):
    panel(ax, f"mean correction at t = {i / steps:.2f}", density=(log_p + inv_temp * Q(plane)).exp())
    ax.plot(*path.xs[: i + 1, :3].unbind(-1), color="#AAAAAA", linewidth=0.6)
    arrows = means(path.xs[i], corrections[i])
    ax.quiver(*arrows, angles="xy", scale_units="xy", scale=scale, width=0.006, color="#D55E00")
plt.show()

# %% [markdown]
# ## Training
#
# That is the whole method: sample paths of $f_\theta$, carry the critic's gradient back along them, and regress the
# correction $u = f_\theta - f_\beta$ onto $-\sigma^2 g / 2$. No gradient passes through the path. $u$ is a small MLP
# that starts at zero.


# %%
def fine_tune(problem, correction, steps, updates, learning_rate, batch_size=512, adjoints_of=None):
    """Adjoint matching; -> f_theta with averaged weights, and the largest adjoint of each update."""
    velocity = problem.base.velocity
    f_theta = lambda x, t: velocity(x, t) + correction(x, t)  # noqa: E731
    updates = round(share_of_updates * updates)
    optimizer = torch.optim.Adam(correction.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    averaged = AveragedModel(correction, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    nodes = (torch.arange(steps) / steps).view(-1, 1, 1)
    largest = []
    for _ in range(updates):
        x_0, noise = normal(batch_size, 2), normal(steps - 1, batch_size, 2)
        if adjoints_of is None:
            with torch.no_grad():
                path = sample_memoryless(f_theta, velocity, x_0, noise, steps)
            xs = path.xs
            adjoints = lean_adjoint(velocity, xs, terminal_adjoint(problem.value, path.x_1, problem.inv_temp))
        else:
            xs, adjoints = adjoints_of(problem, correction, x_0, noise, steps)
        loss = adjoint_matching_loss(correction(xs, nodes), adjoints, node_sigmas(steps, xs))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(correction.parameters(), 100.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(correction)
        largest.append(float(adjoints.norm(dim=-1).max()))
    return lambda x, t: velocity(x, t) + averaged(x, t), largest


torch.manual_seed(0)
f_theta, _ = fine_tune(problem, MLPCorrection(steps), steps, updates=300, learning_rate=5e-3)
with torch.no_grad():
    matched = sample_flow(f_theta, normal(20_000, 2), steps)

# %% [markdown]
# ## Beside two ways that miss
#
# **Additive guidance** adds $(1 - t)\, \tau \nabla Q(X_t)$ to the velocity. It asks the critic about unfinished
# samples, which are in the middle of the ring first: they are caught where no data are.
#
# **Weighted cloning** trains a flow on the data, weighted by $e^{\tau (Q - \bar Q)}$. The best it can do is to repeat
# the data by their weights, and that is what is drawn here, without any error of training. With data without end that
# is the wanted density. But a state of a data set has few actions, often one: of 64 actions, a handful get the
# weight.

# %%
guided_velocity = lambda x, t: base.velocity(x, t) - (1 - t) * terminal_adjoint(Q, x, inv_temp)  # noqa: E731
guided = sample_flow(guided_velocity, normal(20_000, 2), steps)


def cloned(rows, tau=inv_temp, most=float("inf")):
    """What a flow trained on so many weighted rows can sample at best: the rows, by their weights."""
    data = base.sample(rows, generator)
    value = Q(data)
    weights = (tau * (value - value.mean())).exp().clamp(max=most)
    return data[torch.multinomial(weights, 20_000, replacement=True, generator=generator)]


yardstick = sliced_wasserstein(base.sample(20_000, generator), exact, directions=64)


def share(samples, target=exact, unit=yardstick):
    return sliced_wasserstein(samples, target, directions=64) / unit


panels = {
    "exact": problem.exact(20_000, generator),
    "adjoint matching": matched,
    "additive guidance": guided,
    "cloning, 64 actions": cloned(64),
}
figure, axes = row_of(4)
colors = ("#333333", "#0072B2", "#D55E00", "#E69F00")
for ax, color, (name, samples) in zip(axes, colors, panels.items(), strict=True):
    panel(ax, f"{name}\ndistance {share(samples):.2f}", samples=samples, color=color)
plt.show()

# %% [markdown]
# The distance is the sliced Wasserstein-1 distance to exact draws, as a share of the behaviour's own: 0 is exact, 1
# no better than not fine-tuned. How many actions cloning wants:

# %%
for rows in (16, 64, 256, 1024, 16_384):
    shares = torch.tensor([share(cloned(rows)) for _ in range(4)])
    print(f"{rows:>6} actions: {shares.mean():.2f} +- {shares.std():.2f}")

# %% [markdown]
# And where $\tau$ is large, the usual clip of the weights at 100 makes it another density, however many data there
# are:

# %%
for tau in (5.0, 10.0, 20.0):
    target = rejection_sampler(base, Q, tau, Q.upper_bound())(20_000, generator)
    unit = sliced_wasserstein(base.sample(20_000, generator), target, directions=64)
    print(f"tau {tau:>4}: clipped {share(cloned(200_000, tau, 100.0), target, unit):.2f}", end="   ")
    print(f"not clipped {share(cloned(200_000, tau), target, unit):.2f}")

# %% [markdown]
# ## Recovered, but for the grid
#
# What is left of adjoint matching's distance above is training and the solver's steps. With a Gaussian $p_\beta$ and a
# quadratic $Q$ the wanted density is a Gaussian, and the optimal correction linear in $x$ at each node, so that a
# matrix and a vector a node hold it. What the steps leave then shrinks with them:

# %%
simple = gaussian_problem()
wanted = simple.value.tilt(simple.base, simple.inv_temp)
rows = {"wanted": (wanted.mean, wanted.covariance), "behaviour": (simple.base.mean, simple.base.covariance)}
for count in (10, 20, 40):
    linear, _ = fine_tune(simple, LinearCorrection(count), count, updates=150, learning_rate=3e-2, batch_size=256)
    with torch.no_grad():
        x = sample_flow(linear, normal(50_000, 2), count)
    rows[f"adjoint matching, {count} steps"] = (x.mean(0), x.T.cov())
print(f"{'':28}{'mean':>8}{'':8}{'covariance: xx, xy, yy':>26}")
for name, (mean, covariance) in rows.items():
    numbers = [*mean, covariance[0, 0], covariance[0, 1], covariance[1, 1]]
    print(f"{name:<28}" + "".join(f"{float(number):8.3f}" for number in numbers))

# %% [markdown]
# ## Why the lean adjoint
#
# The true gradient of the control problem $\mathbb{E}\left[ \tfrac12 \int \Vert 2u/\sigma \Vert^2 dt - \tau Q(X_1)
# \right]$ with respect to $X_i$, the *full* adjoint, runs through the control $u$ too, whose Jacobian multiplies at
# every step. At the optimum the terms that the lean one leaves out cancel. Before, they need not. Below: the mean
# size of both adjoints along paths under controls $u(x) = \sin(\omega x)$, which are all of the same size, and only
# steeper with $\omega$.


# %%
def full_adjoint(problem, correction, x_0, noise, steps):
    """Back-propagation through the sampled path: d(cost)/dX_i at every node; -> path and adjoints (T, B, 2)."""
    dt, x = 1 / steps, x_0.clone().requires_grad_()
    xs, cost = [x], 0.0
    for i in range(steps - 1):
        t = i * dt
        sigma, u = memoryless_sigma(t, dt), correction(x, t)
        cost = cost + dt / 2 * (2 * u / sigma).square().sum()
        x = x + dt * (2 * (problem.base.velocity(x, t) + u) - x / (t + dt)) + dt**0.5 * sigma * noise[i]
        xs.append(x)
    x_1 = x + dt * problem.base.velocity(x, 1 - dt)
    adjoints = torch.autograd.grad(cost - problem.inv_temp * problem.value(x_1).sum(), xs)
    return torch.stack(xs).detach(), torch.stack(adjoints)


steps = 30
times = torch.arange(steps) / steps
figure, axes = plt.subplots(1, 2, figsize=(9, 3), dpi=90, sharey=True, layout="constrained")
x_0, noise = normal(500, 2), normal(steps - 1, 500, 2)
for omega in (0, 10, 20, 30):
    control = lambda x, t, omega=omega: torch.sin(omega * x)  # noqa: E731
    xs, full = full_adjoint(problem, control, x_0, noise, steps)
    ends = sample_memoryless(
        lambda x, t, u=control: base.velocity(x, t) + u(x, t), base.velocity, x_0, noise, steps
    ).x_1
    lean = lean_adjoint(base.velocity, xs, terminal_adjoint(Q, ends, inv_temp))
    for ax, adjoints in zip(axes, (lean, full), strict=True):
        ax.semilogy(times, adjoints.norm(dim=-1).mean(-1), label=rf"$\omega$ = {omega}")
axes[0].set(title="lean adjoint", xlabel="t", ylabel="mean size")
axes[1].set(title="full adjoint", xlabel="t")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# In training it depends on the network. The smooth MLP from above, which starts at zero, never becomes steep, and
# both adjoints do. A network with Fourier features of the position, as they are common in control, begins steep: with
# the lean adjoint it learns, with the full one every update makes the next one's adjoint larger.


# %%
class FourierCorrection(nn.Module):
    """An MLP on sin and cos of random projections of x, beginning with random weights."""

    def __init__(self, steps):
        super().__init__()
        self.register_buffer("projections", 8 * torch.randn(2, 64))
        self.end = 1 + 1 / steps
        self.net = nn.Sequential(nn.Linear(131, 128), nn.SiLU(), nn.Linear(128, 2))
        with torch.no_grad():
            self.net[-1].weight.mul_(10)

    def forward(self, x, t):
        angle, time = x @ self.projections, torch.as_tensor(t).expand(*x.shape[:-1], 1)
        return (self.end - t) * self.net(torch.cat([angle.sin(), angle.cos(), x, time], -1))


figure, axes = plt.subplots(1, 2, figsize=(9, 3), dpi=90, sharey=True, layout="constrained")
for ax, family in zip(axes, (MLPCorrection, FourierCorrection), strict=True):
    for name, adjoints_of in {"lean": None, "full": full_adjoint}.items():
        torch.manual_seed(0)
        trained, largest = fine_tune(problem, family(steps), steps, 100, 5e-3, 256, adjoints_of)
        with torch.no_grad():
            distance = share(sample_flow(trained, normal(20_000, 2), steps))
        ax.semilogy(largest, linewidth=0.8, label=f"{name}: distance {distance:.2f} after")
    ax.set(title=family.__name__, xlabel="update")
    ax.legend(frameon=False)
axes[0].set_ylabel("largest adjoint of the update")
plt.show()
