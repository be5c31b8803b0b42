"""The entry points and the composition root: the only room that knows Hydra, and the only one that knows everything."""
