"""Whether this machine computes what it should, and how fast: what `qam-doctor` prints.

`facts` are versions and devices, `checks` compare ways of computing the same updates, `speed` times the paper's size.
"""
