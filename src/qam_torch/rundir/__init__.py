"""A run directory: the names of its files, metrics.csv, and the format of checkpoints."""
