"""Checks and statistics of data files: `checks` lists findings, `statistics` counts episodes, returns and actions."""
