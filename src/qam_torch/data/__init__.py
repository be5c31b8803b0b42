"""Datasets: from files to batches of action chunks on the training device.

Getting files
    `catalog` lists the datasets that OGBench publishes. `dataset_files` finds the files of a dataset; missing files are
    downloaded (`fetching`) or generated with OGBench's oracles (`generation`). `checksums` records their SHA-256.
Reading files
    `ogbench_format`, `custom_npz` and `minari` read one format each. The npz formats share the reader `npz` and the
    table of expected arrays in `array_checks`. `relabel` computes the rewards of an OGBench task, `action_scaling`
    scales actions to [-1, 1]. `inspection` reports everything that is wrong with a file, and statistics.
Training
    `transitions` stores every state once; `windows` precomputes all chunks of h transitions; `sampler` draws batches
    of them per population member; `datamodule` gives them to Lightning. `shards` rotates through the files of a dataset
    that is larger than memory. In the online phase (`online_phase`), `replay_buffer` holds the dataset and the
    collected transitions, and `replay_log` keeps the latter on disk.

Nothing is imported here, so that worker processes that generate data do not import torch.
"""
