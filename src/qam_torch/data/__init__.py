"""From data files to batches of action chunks on the training device.

Where data come from: `catalog` (what OGBench publishes), `sources` (finding a dataset's files), and the packages
`fetching` (the network) and `generation` (OGBench's oracles). What is in them: `files` (OGBench's format, over
`archive`, which believes nothing), `checksums`, `relabel` (rewards of a task), `own` and `minari` (anybody else's data,
with `actions` scaled), and the package `inspection`. What training sees: `transitions`, `windows`, `sampler`, `shards`
(files that take turns) and `module` (LightningDataModule).

Nothing is imported here, so that a worker process that only generates data does not load the trainer.
"""
