"""What others have published or recorded, made again, and a small benchmark.

`paper_plan`, `paper_cost` and `paper_summary` are what `qam-reproduce paper` prints. `parity_runs` makes the runs of
`qam-reproduce parity`, and `parity_comparison` compares their learning curves with those of the authors' code.
`small_runs`, `small_tuning` and `small_results` are `qam-reproduce small`. `arguments` checks the words of all of them.
"""
