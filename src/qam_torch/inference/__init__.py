"""From a checkpoint to a policy, and from a policy to evaluated episodes."""
