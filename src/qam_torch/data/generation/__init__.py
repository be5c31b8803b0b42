"""Datasets generated with OGBench's environments and scripted oracles.

`generate` is the entry point. A recipe (`manipulation`, `pointmaze`) makes one episode; `file_plan` decides which
episodes are in which file; `workers` makes episodes in processes, which keep them on disk (`episode_files`).
"""
