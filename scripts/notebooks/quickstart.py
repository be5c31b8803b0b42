# %% [markdown]
# # A run, from Python
#
# Compose the configuration that `qam-train` would run, train, look at what came out, and use the policy. The settings
# below are small, so that the notebook runs in about a minute; for the real quickstart leave out the overrides after
# `experiment=quickstart`. [Quickstart](../docs/quickstart.md) does the same on the command line.

# %%
from IPython.display import Image

import qam_torch

config = qam_torch.compose(
    [
        "experiment=quickstart",
        "offline_steps=1500",
        "eval_every=1500",
        "save_every=1500",
        "eval_episodes=10",
        "runs_root=runs/notebook",
    ]
)
print(config.algo)

# %% [markdown]
# ## Train
#
# The data are OGBench's own: its maze, its oracle, its file format. They are generated at the first use and kept.

# %%
run = qam_torch.fit(config)

# %%
for who in ("final", "behavior"):
    print(who, run.summary[who])

# %% [markdown]
# ## What it looks like
#
# Left the policy, right the behaviour flow f_beta it was fine-tuned from, over the same ten episodes.

# %%
Image(filename=run.directory / "plots" / "trajectories.png", width=800)

# %% [markdown]
# ## Use the policy
#
# `load_policy` needs neither the Trainer nor Hydra. It maps an observation to a chunk of `horizon_length` actions,
# which are executed open loop.

# %%
checkpoint = run.directory / "checkpoints" / "last.ckpt"
policy = qam_torch.load_policy(checkpoint)
environment = policy.make_environment()
observation, _ = environment.reset(seed=0)
print(policy(observation))

# %% [markdown]
# ## Measure again

# %%
outcome = qam_torch.evaluate(checkpoint, episodes=5, seed=1)
print("success", outcome.success_rate(), "95 % interval", outcome.interval())
