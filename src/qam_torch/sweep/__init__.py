"""Many runs from one command, each in its own process, with a table of the outcomes.

`sweep.Sweep` is what `qam-train -m` runs, `job.SweepJob` what a Hydra launcher calls for each run, on any machine, and
`run_process` the process of one run. `record` is the file that holds each run's outcome.
"""
