"""Environments, open-loop execution of action chunks, evaluation and video. Numpy in, numpy out.

Nothing is imported here on purpose: the processes that host environments import `rollout.hosting` and
`rollout.environments`, and those two need no torch.
"""
