"""From OGBench files to batches of action chunks on the training device.

The names live in the modules: `files` (npz), `sources` (where files are, or are generated), `generate` and
`pointmaze`, `relabel` (rewards of a task), `transitions`, `sampler`, `module` (LightningDataModule). Nothing is
imported here, so that a worker process that only generates data does not load the trainer.
"""
