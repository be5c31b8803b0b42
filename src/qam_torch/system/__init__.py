"""The machine and its files: atomic writes, locks, processors, temporary files, progress bars. Imports no torch."""
