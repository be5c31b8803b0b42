"""The machine and its files: atomic writes, locks, processors, worker processes, temporary files, progress bars. No torch."""
