#!/usr/bin/env bash
# windows, masks and n-step sums against plain loops: random episodes, with and without next states (tf-agents #939, pytorch/rl #1774)
. "$(dirname "$0")/../lib/common.sh"
python - <<'PY' && right "equal to plain loops" || wrong "see above"
import numpy as np, torch
from qam_torch.data.custom_npz import custom_transitions
from qam_torch.data.windows import ChunkWindows
rng, worst = np.random.default_rng(0), 0.0
for trial in range(60):
    rows, steps = [], []
    for e in range(8):
        n = int(rng.integers(5, 15)); states = rng.normal(size=(n + 1, 2)).astype(np.float32); kind = rng.integers(3)     # 0 terminal, 1 cut, 2 both
        for k in range(n):
            last = k == n - 1; rows.append((states[k], rng.uniform(-1, 1, 2).astype(np.float32), rng.normal(), last and kind != 1, last and kind != 0, states[k + 1]))
    columns = [np.asarray([r[i] for r in rows]) for i in range(6)]; given = bool(trial % 2)
    names = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")
    np.savez("w.npz", **{n: c for n, c in zip(names, columns) if given or n != "next_observations"})
    o, a, r, te, ti, nx = columns
    # the transitions a careful reader would make of it: without next states, a cut row has none and is dropped
    keep = [i for i in range(len(r)) if given or te[i] or not (ti[i] or i == len(r) - 1)]
    end = {i: bool(te[i] or ti[i] or (i + 1 not in keep)) for i in keep}
    h, g = int(rng.integers(1, 5)), 0.9
    w = ChunkWindows(custom_transitions("w.npz", -np.ones(2), np.ones(2)), h, g); assert w.num_starts == len(keep) - h + 1, (w.num_starts, len(keep))
    b = w(torch.arange(w.num_starts))
    for s in range(w.num_starts):
        total, mask, valid, j = 0.0, 1.0, 1.0, s
        for k in range(h):
            i = keep[s + k]
            total += g**k * r[i]; mask = min(mask, 1.0 - te[i]); j = i
            if end[i] and k < h - 1: valid = 0.0; break
        worst = max(worst, abs(float(b.rewards[s]) - total)); assert float(b.masks[s]) == mask and float(b.valid[s]) == valid, (trial, s)
        if mask: assert np.array_equal(b.next_observations[s].numpy(), nx[j]), (trial, s)
        assert np.array_equal(b.observations[s].numpy(), o[keep[s]])
        if valid: assert np.abs(b.actions[s].numpy() - a[keep[s]:keep[s] + h].reshape(-1)).max() < 2e-5
assert trial == 59; print("60 files, largest error of a sum", worst); raise SystemExit(int(worst > 1e-5))
PY
