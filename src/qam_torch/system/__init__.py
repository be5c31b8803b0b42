"""The machine and its files: atomic writes, locks, processors, workers, temporary files, progress bars. No torch."""
