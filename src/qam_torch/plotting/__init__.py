"""Figures of runs, mazes and datasets, made without pyplot so that no global state of matplotlib changes."""
