"""Many runs from one command, each in a process of its own: none takes the others along, and a table says how it went.

`sweep.Sweep` is the whole, in the process of `qam-train -m`; `job.SweepJob` is what a launcher of Hydra calls for each
run, on whatever machine; `process.main` is the run. What became of each is in a file, see `outcome`.
"""
