# %% [markdown]
# # A run from Python
#
# This notebook composes the configuration of a `qam-train` run, trains, shows the results, and uses the policy. The run
# is the quickstart with ten thousand updates. [Quickstart](../docs/quickstart.md) does the same on the command line.

# %%
import os

from IPython.display import Image

import qam_torch

short = ["offline_steps=300", "eval_every=300", "checkpoint_every=300", "eval_episodes=5"]
overrides = short if "SHORT_NOTEBOOKS" in os.environ else []  # set by the tests
config = qam_torch.compose(["experiment=quickstart", "runs_root=runs/notebook", *overrides])
print(config.algo)

# %% [markdown]
# ## Train
#
# The dataset is generated with OGBench's maze and oracle in OGBench's file format. It is generated on first use and
# stored.

# %%
run = qam_torch.fit(config)

# %%
for name in ("final", "behavior"):
    print(name, "success", run.summary[name]["success"], "95% interval", run.summary[name]["success_95"])

# %% [markdown]
# ## Trajectories
#
# Left: the policy. Right: the behavior flow f_beta that it was fine-tuned from, in the same episodes.

# %%
Image(filename=run.directory / "plots" / "trajectories.png", width=800)

# %% [markdown]
# ## Use the policy
#
# `load_policy` requires neither the Trainer nor Hydra. The policy maps an observation to a chunk of `horizon_length`
# actions, which are executed without further observations (open loop).

# %%
checkpoint = run.directory / "checkpoints" / "last.ckpt"
policy = qam_torch.load_policy(checkpoint)
environment = policy.make_environment()
observation, _ = environment.reset(seed=0)
print(policy(observation))

# %% [markdown]
# ## Evaluate again

# %%
outcome = qam_torch.evaluate(checkpoint, episodes=5, seed=1)
print("success", outcome.success_rate(), "95% interval", outcome.interval())
