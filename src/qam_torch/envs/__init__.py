"""Making environments (OGBench, Gymnasium) and hosting them in processes. Numpy in, numpy out.

Nothing is imported here: the processes that host environments need no torch.
"""
