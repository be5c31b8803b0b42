"""What others have published or recorded, made again: the runs of the papers, and learning beside the authors' code.

`paper_plan`, `paper_cost` and `paper_summary` are what `qam-reproduce paper` prints. `parity_runs` makes the runs of
`qam-reproduce parity`, and `parity_comparison` compares their learning curves with those of the authors' code.
"""
