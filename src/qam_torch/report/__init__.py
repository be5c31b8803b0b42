"""A report of any number of runs: reading them, results beside the published ones, and Markdown, LaTeX and HTML."""
