"""What is in a data file and what is wrong with it: `inspection` lists findings, `statistics` counts."""
