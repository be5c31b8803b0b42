"""The commands: one file per entry point, with parsing, printing and the exit status."""
