#!/usr/bin/env bash
# rows that do not continue one another must not be joined into a chunk (D4RL #162, #85; tf-agents #939)
. "$(dirname "$0")/../lib/common.sh"
python - <<'PY'
import numpy as np, rec
d = rec.record("Field/Plain-v0", episodes=12); d.pop("timeouts"); np.savez("d.npz", **d)   # cut by a time limit, not marked; next states given
PY
qam-train env=npz path=d.npz env_id=fieldenvs:Field/Plain-v0 runs_root=runs run_name=a $TINY algo.horizon_length=5 >out.txt 2>&1; rc=$?; cat out.txt
python - <<'PY' || joined=yes
import numpy as np, torch
from qam_torch.data.custom_npz import custom_steps
from qam_torch.data.windows import ChunkWindows
d = np.load("d.npz"); t = custom_steps("d.npz").transitions(-np.ones(2), np.ones(2), "d.npz"); w = ChunkWindows(t, 5, 0.99)
jump = (d["next_observations"][:-1] != d["observations"][1:]).any(1)
bad = [i for i in range(w.num_starts) if jump[i:i + 4].any() and float(w.table.columns[1][i]) > 0]
print(f"{len(bad)} of {w.num_starts} windows count as valid though their states do not continue; {int(jump.sum())} breaks, {t.num_episodes} episodes seen")
raise SystemExit(bool(bad))
PY
[ -z "${joined:-}" ] && right "no joined window"
[ $rc -ne 0 ] || grep -qi "continu\|timeouts\|warning" out.txt && right "refused or warned"
wrong "windows join episodes without a word"
