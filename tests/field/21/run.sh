#!/usr/bin/env bash
# terminated and truncated in the same step: termination wins, offline and online (d3rlpy #463, SB3 #934)
. "$(dirname "$0")/../lib/common.sh"
record Same s.npz; record Cut c.npz
for e in Same Cut; do f=$(echo ${e:0:1} | tr SC sc).npz; qam-train env=npz path=$f env_id=fieldenvs:Field/$e-v0 runs_root=runs run_name=$e $TINY online_steps=70 start_training=5 num_envs=2 algo.horizon_length=3 eval_every=100 checkpoint_every=70 >/dev/null 2>&1; done
python - <<'PY' && right "masks, ends and next states as they should be" || wrong "see above"
import numpy as np, torch
from readreplay import replay
from qam_torch.data.custom_npz import custom_transitions
ok = True
for name, file, expect in (("Same", "s.npz", [6, 13, 20, 27, 34]), ("Cut", "c.npz", [])):
    raw = np.load(file); t = custom_transitions(file, -np.ones(2), np.ones(2))
    ok &= np.array_equal(t.masks.numpy() == 0, raw["terminals"]); ok &= int(t.terminals.sum()) == 10
    r = replay(f"runs/{name}/checkpoints/replay.bin"); ok &= len(r) == 35
    for stream in range(2): ok &= np.flatnonzero(r["m"][:, 0, stream] == 0).tolist() == expect
    ok &= np.flatnonzero(r["b"][:, 0, 0]).tolist() == [0, 7, 14, 21, 28]
    ok &= np.abs(r["o"] + 0.1 * r["a"] - r["n"]).max() < 1e-6          # the last state is the episode's own, not the reset's
    ok &= np.abs(r["r"] + np.linalg.norm(r["o"].astype(float) + 0.1 * r["a"], axis=-1)).max() < 1e-6
    print(name, "masks 0 at", np.flatnonzero(r["m"][:, 0, 0] == 0).tolist())
raise SystemExit(not ok)
PY
