"""Datasets made here, with OGBench's environments and scripted oracles: `generate` is the way in."""
