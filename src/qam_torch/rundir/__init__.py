"""The files of a run directory: their names, metrics.csv, checkpoints, versions, and which settings name it."""
