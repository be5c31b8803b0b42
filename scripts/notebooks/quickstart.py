# %% [markdown]
# # A run, from Python
#
# Compose the configuration that `qam-train` would run, train, look at what came out, and use the policy. It is the
# quickstart, ten thousand updates. [Quickstart](../docs/quickstart.md) does the same on the command line.

# %%
import os

from IPython.display import Image

import qam_torch

short = ["offline_steps=300", "eval_every=300", "checkpoint_every=300", "eval_episodes=5"]
overrides = short if "SHORT_NOTEBOOKS" in os.environ else []  # the tests set it
config = qam_torch.compose(["experiment=quickstart", "runs_root=runs/notebook", *overrides])
print(config.algo)

# %% [markdown]
# ## Train
#
# The data are OGBench's own: its maze, its oracle, its file format. They are generated at the first use and kept.

# %%
run = qam_torch.fit(config)

# %%
for who in ("final", "behavior"):
    print(who, "success", run.summary[who]["success"], "95 % interval", run.summary[who]["success_95"])

# %% [markdown]
# ## What it looks like
#
# Left the policy, right the behaviour flow f_beta it was fine-tuned from, over the same episodes.

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
