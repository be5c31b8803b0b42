# %% [markdown]
# # Adjoint matching in two dimensions
#
# A flow $f_\beta$ samples a density $p_\beta$, and a critic $Q$ rates the samples. The goal is a flow that samples
#
# $$p(x) \;\propto\; p_\beta(x)\, e^{\tau Q(x)} .$$
#
# Here $p_\beta$ and $Q$ are known in closed form, so the target density can be sampled exactly. All visible errors
# are therefore errors of the method. The notebook shows the process that adjoint matching samples, the adjoints that
# are its regression targets, its result compared with two other methods, and why the adjoint must be the *lean*
# adjoint. [Concepts](../docs/concepts.md#adjoint-matching) has the equations, [Theory](../docs/theory.md) the tests.

# %%
import os
import sys

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

sys.path.insert(0, "../scripts")  # closed forms, shared with the tests and docs/theory.md
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
share_of_updates = 0.05 if "SHORT_NOTEBOOKS" in os.environ else 1.0  # set by the tests


def normal(*shape):
    return torch.randn(*shape, generator=generator)


# %% [markdown]
# ## The problem
#
# $p_\beta$ has six modes on a ring. The critic is high at two of them, and equally high at a point inside the ring
# where $p_\beta$ has almost no mass. Learned critics make such errors for actions that are not in the data. The
# target density has almost no mass there.

# %%
problem = mixture_problem()
base, Q, inv_temp = problem.base, problem.value, problem.inv_temp
exact = problem.exact(20_000, generator)
axis = torch.linspace(-3.3, 3.3, 200)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


# %% [hidden]
def panel(ax, title, density=None, samples=None, color="#0072B2"):
    """Draw a density or samples over the critic's contours; returns the image of the density."""
    ax.contour(axis, axis, Q(plane), levels=[0.2, 0.4, 0.6, 0.8, 1.0], colors="#333333", linewidths=0.6, alpha=0.35)
    image = None
    if density is not None:
        image = ax.imshow(density, extent=(-3.3, 3.3) * 2, origin="lower", cmap="Blues")
    if samples is not None:
        ax.scatter(*samples[:3000].T, s=3, color=color, alpha=0.35, linewidths=0)
    ax.set(title=title, xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), xticks=(-3, 0, 3), yticks=(-3, 0, 3), aspect="equal")
    return image


def row_of(count):
    return plt.subplots(1, count, figsize=(3.1 * count, 3.4), dpi=90, layout="constrained")


# %%
figure, axes = row_of(3)
log_p = base.log_density(plane)
images = [
    panel(axes[0], r"$p_\beta$ (density)", density=log_p.exp()),
    panel(axes[1], "critic $Q$ (lower bump: no data)", density=Q(plane)),
    panel(axes[2], r"target $p_\beta\, e^{\tau Q}$ (not normalized)", density=(log_p + inv_temp * Q(plane)).exp()),
]
for ax, image in zip(axes, images, strict=True):
    figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.8)
plt.show()

# %% [markdown]
# ## The memoryless process
#
# Fine-tuning uses a noisy process that has the same density as the flow at every $t$. With the *memoryless* noise
# level, the end $X_1$ is independent of the start $X_0$. With the flow itself, or any other noise level, it is not,
# and the learned density is biased. The color of each point is the direction of its $X_0$.

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
    points = ax.scatter(*x_1.T, s=4, c=torch.atan2(*x_0.T), cmap="twilight", linewidths=0)
    correlation = torch.corrcoef(torch.stack([x_0[:, 0], x_1[:, 0]]))[0, 1]
    print(f"{name}: correlation of X_0 and X_1 {correlation:+.2f}")
figure.colorbar(points, ax=axes, label="direction of $X_0$ (rad)")
plt.show()

# %% [markdown]
# ## Lean adjoints
#
# The critic's gradient is computed once, at the end of a path. The lean adjoint $g_i$ propagates it backwards along
# the path with the Jacobian of the base flow alone. The regression target for the correction of the velocity at $X_i$
# is $-\sigma_i^2 g_i / 2$. The target of a single path is noisy. The regression learns its mean at each point, shown
# here as arrows over 10,000 paths. Early in the path, the correction points to the modes with high $Q$. Late in the
# path, it only increases $Q$ within a mode, because a path can no longer change its mode. Gray lines are three paths.
# Arrows are drawn at a tenth of their length, in the last panel at a third.

# %%
path = sample_memoryless(base.velocity, base.velocity, normal(10_000, 2), normal(steps - 1, 10_000, 2), steps)
adjoints = lean_adjoint(base.velocity, path.xs, terminal_adjoint(Q, path.x_1, inv_temp))
corrections = -(node_sigmas(steps, path.xs) ** 2) * adjoints / 2


# %% [hidden]
def means(x, arrows, width=0.5, least=10):
    """Mean point and arrow in each grid cell that contains enough paths."""
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
# One update of the method has three steps. Sample paths of $f_\theta$, propagate the critic's gradient backwards along
# them, and regress the correction $u = f_\theta - f_\beta$ onto $-\sigma^2 g / 2$. No gradient passes through the path.
# $u$ is a small MLP that starts at zero.


# %%
def fine_tune(problem, correction, steps, updates, learning_rate, batch_size=512, adjoints_of=None):
    """Train by adjoint matching; returns f_theta with averaged weights, and the largest adjoint of each update."""
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
# ## Comparison with two other methods
#
# **Additive guidance** adds $(1 - t)\, \tau \nabla Q(X_t)$ to the velocity. It evaluates the critic at unfinished
# samples, which start in the middle of the ring. Many of them stay at the bump without data.
#
# **Weighted cloning** trains a flow on the data with the weights $e^{\tau (Q - \bar Q)}$. Its best possible result is
# to repeat the data in proportion to their weights. The figure shows this best result, without training errors. With
# infinite data it is the target density. But a dataset has few actions per state, often one. Of 64 actions, a few get
# almost all the weight.

# %%
guided_velocity = lambda x, t: base.velocity(x, t) - (1 - t) * terminal_adjoint(Q, x, inv_temp)  # noqa: E731
guided = sample_flow(guided_velocity, normal(20_000, 2), steps)


# %% [hidden]
def cloned(rows, tau=inv_temp, most=float("inf")):
    """Best possible samples of a flow trained on weighted rows: the rows in proportion to their weights."""
    data = base.sample(rows, generator)
    value = Q(data)
    weights = (tau * (value - value.mean())).exp().clamp(max=most)
    return data[torch.multinomial(weights, 20_000, replacement=True, generator=generator)]


yardstick = sliced_wasserstein(base.sample(20_000, generator), exact, directions=64)


def share(samples, target=exact, unit=yardstick):
    return sliced_wasserstein(samples, target, directions=64) / unit


# %%
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
# The distance is the sliced Wasserstein-1 distance to exact samples, divided by the distance of $p_\beta$: 0 is
# exact, and 1 is as far as $p_\beta$ itself. The distance of weighted cloning depends on the number of actions:

# %%
for rows in (16, 64, 256, 1024, 16_384):
    shares = torch.tensor([share(cloned(rows)) for _ in range(4)])
    print(f"{rows:>6} actions: {shares.mean():.2f} +- {shares.std():.2f}")

# %% [markdown]
# If $\tau$ is large, clipping the weights at 100, as is common, changes the density for any amount of data:

# %%
for tau in (5.0, 10.0, 20.0):
    target = rejection_sampler(base, Q, tau, Q.upper_bound())(20_000, generator)
    unit = sliced_wasserstein(base.sample(20_000, generator), target, directions=64)
    print(f"tau {tau:>4}: clipped {share(cloned(200_000, tau, 100.0), target, unit):.2f}", end="   ")
    print(f"not clipped {share(cloned(200_000, tau), target, unit):.2f}")

# %% [markdown]
# ## Discretization error
#
# The remaining distance of adjoint matching comes from training and from the solver's steps. With a Gaussian
# $p_\beta$ and a quadratic $Q$, the target density is a Gaussian. The optimal correction is then linear in $x$ at
# each node, so that one matrix and one vector per node represent it exactly. The remaining error decreases with the
# number of steps:

# %%
simple = gaussian_problem()
target = simple.value.tilt(simple.base, simple.inv_temp)
rows = {"target": (target.mean, target.covariance), "behavior": (simple.base.mean, simple.base.covariance)}
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
# The *full* adjoint is the true gradient of the control problem $\mathbb{E}\left[ \tfrac12 \int \Vert 2u/\sigma
# \Vert^2 dt - \tau Q(X_1) \right]$ with respect to $X_i$. It also differentiates the control $u$, whose Jacobian
# multiplies at every step. The lean adjoint omits these terms. At the optimum they cancel; before, they can be large.
# The figure shows the mean norm of both adjoints along paths with the controls $u(x) = \sin(\omega x)$, which have
# the same size for all $\omega$ but become steeper.


# %% [hidden]
def full_adjoint(problem, correction, x_0, noise, steps):
    """Back-propagate through the sampled path; returns the path and d(cost)/dX_i at every node, both (T, B, 2)."""
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


# %%
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
axes[0].set(title="lean adjoint", xlabel="t", ylabel="mean norm (log scale)")
axes[1].set(title="full adjoint", xlabel="t")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# During training, the difference depends on the network. The smooth MLP from above starts at zero and never becomes
# steep: both adjoints work. A network with Fourier features of the position, which are common in control, is steep
# from the start. It learns with the lean adjoint. With the full adjoint, each update increases the next adjoint.


# %% [hidden]
class FourierCorrection(nn.Module):
    """An MLP on sin and cos of random projections of x, with random initial weights."""

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


# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3), dpi=90, sharey=True, layout="constrained")
for ax, family in zip(axes, (MLPCorrection, FourierCorrection), strict=True):
    for name, adjoints_of in {"lean": None, "full": full_adjoint}.items():
        torch.manual_seed(0)
        trained, largest = fine_tune(problem, family(steps), steps, 100, 5e-3, 256, adjoints_of)
        with torch.no_grad():
            distance = share(sample_flow(trained, normal(20_000, 2), steps))
        ax.semilogy(largest, linewidth=0.8, label=f"{name} adjoint, final distance {distance:.2f}")
    ax.set(title=family.__name__, xlabel="update")
    ax.legend(frameon=False)
axes[0].set_ylabel("largest adjoint norm (log scale)")
plt.show()
