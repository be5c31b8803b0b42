#!/usr/bin/env bash
# actions in other units than [-1, 1]: data, environment and replay agree (d3rlpy #11 #26 #157, Gymnasium #1679)
. "$(dirname "$0")/../lib/common.sh"
record Wide w.npz; record Asym a.npz
qam-train env=npz path=w.npz env_id=fieldenvs:Field/Wide-v0 runs_root=runs run_name=a $TINY online_steps=40 start_training=5 eval_every=100 checkpoint_every=40 >/dev/null 2>&1
python - <<'PY' && right "to rounding" || wrong "see above"
import numpy as np
from readreplay import replay
from qam_torch.data.custom_npz import custom_transitions
from qam_torch.envs.gymnasium_registry import make_registered
worst = 0.0
for name, file in (("Wide", "w.npz"), ("Asym", "a.npz")):
    raw, env = np.load(file), make_registered(f"fieldenvs:Field/{name}-v0"); lo, hi = env.low, env.high
    want = np.clip(2 * (raw["actions"].astype(float) - lo) / (hi - lo) - 1, -1 + 1e-5, 1 - 1e-5); worst = max(worst, np.abs(custom_transitions(file, lo, hi).actions.numpy() - want).max())
    env.reset(seed=0)
    for u in ([-1, 1], [0, 0.5], [1, -1], [3, -7]): env.step(np.asarray(u, np.float32)); worst = max(worst, np.abs(env.unwrapped.last - (lo + (np.clip(u, -1, 1) + 1) / 2 * (hi - lo))).max())
r = replay("runs/a/checkpoints/replay.bin", E=1); worst = max(worst, np.abs(r["o"] + 0.1 * (50 + 50 * r["a"]) - r["n"]).max() / 100); print(worst); raise SystemExit(int(worst > 1e-6))
PY
