"""rec.py ENV FILE [episodes] [--no-next] [--no-timeouts]: random actions of a small environment."""

import sys

import fieldenvs  # noqa: F401 (registers the environments)
import gymnasium
import numpy as np


def record(name, episodes=10, seed=0, scale=None, **kw):
    env = gymnasium.make(name, disable_env_checker=True, **kw)
    rows = []
    rng = np.random.default_rng(seed)
    for ep in range(episodes):
        o, _ = env.reset(seed=ep)
        over = False
        while not over:
            s = env.action_space
            a = (
                rng.uniform(s.low.astype(float), s.high.astype(float))
                if scale is None
                else rng.uniform(-scale, scale, s.shape)
            ).astype(s.dtype)
            f, r, te, tr, _ = env.step(a)
            rows.append((o, a, np.asarray(r, float).reshape(()), bool(te), bool(tr), f))
            o = f
            over = bool(te) or bool(tr)
    names = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")
    return {n: np.asarray([x[i] for x in rows]) for i, n in enumerate(names)}


if __name__ == "__main__":
    d = record("Field/" + sys.argv[1] + "-v0")
    np.savez(sys.argv[2], **d)
