"""Small environments, each with one oddity that people report."""

import os

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box


class Point(gym.Env):
    """A point in the plane, pushed by the action; reward is minus the distance to the origin."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        low=-1.0,
        high=1.0,
        dtype=np.float32,
        reward="float",
        success=None,
        flags="bool",
        obs="f4",
        end_at=None,
        render_mode=None,
    ):
        low, high = (
            np.broadcast_to(np.asarray(low, dtype), (2,)).copy(),
            np.broadcast_to(np.asarray(high, dtype), (2,)).copy(),
        )
        self.action_space = Box(low, high, dtype=dtype)
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.kind, self.success, self.flags, self.obs, self.end_at = reward, success, flags, obs, end_at
        self.render_mode = render_mode

    def _o(self):
        return self.x.astype({"f4": np.float32, "f8": np.float64}[self.obs])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 2)
        self.t = 0
        return self._o(), {}

    def step(self, action):
        self.last = np.asarray(action)
        log = os.environ.get("FIELD_ACTION_LOG")
        if log:
            with open(log, "a") as f:
                f.write(" ".join(repr(float(v)) for v in self.last) + "\n")
        self.x = self.x + 0.1 * np.asarray(action, float)
        self.t += 1
        r = -float(np.linalg.norm(self.x))
        reward = {
            "float": r,
            "array": np.array([r]),
            "array0": np.array(r),
            "f32": np.float32(r),
            "int": (-1),
            "nan": float("nan") if self.t > 3 else r,
        }[self.kind]
        end = bool(self.end_at and self.t >= self.end_at)
        info = {}
        if self.success == "moment":
            info["success"] = self.t == 3
        if self.success == "float":
            info["success"] = float(self.t == 3)
        if self.success == "late":
            info["is_success"] = np.bool_(self.t >= 10)
        if self.success == "array":
            info["is_success"] = np.array([self.t >= 10])
        if self.success == "nan":
            info["success"] = float("nan")
        if self.success == "string":
            info["success"] = "False"
        e, t = {
            "bool": (end, False),
            "np": (np.bool_(end), np.bool_(False)),
            "array": (np.array([end]), np.array([False])),
            "int": (int(end), 0),
        }[self.flags]
        return self._o(), reward, e, t, info

    def render(self):
        return np.zeros((64, 64, 3), np.uint8)


def reg(name, steps=20, **kw):
    gym.register(f"Field/{name}-v0", entry_point="fieldenvs:Point", max_episode_steps=steps, kwargs=kw)


reg("Plain")
reg("F64", obs="f8")
reg("RewardArray", reward="array")
reg("RewardArray0", reward="array0")
reg("RewardF32", reward="f32")
reg("RewardInt", reward="int")
reg("RewardNan", reward="nan")
reg("FlagsNp", flags="np", end_at=7)
reg("FlagsArray", flags="array", end_at=7)
reg("FlagsInt", flags="int", end_at=7)
reg("Moment", success="moment")
reg("Float", success="float")
reg("Late", success="late")
reg("SArray", success="array")
reg("SNan", success="nan")
reg("SString", success="string")
reg("Wide", low=0.0, high=100.0)
reg("Asym", low=[-2.0, 0.0], high=[1.0, 5.0])
reg("Huge", low=-1e38, high=1e38)
reg("Fixed", low=[-1.0, 0.0], high=[1.0, 0.0])
reg("Inf", low=-np.inf, high=np.inf)
reg("Int", low=0, high=10, dtype=np.int64)
reg("NoLimit", steps=None)
reg("Loose", low=-1000.0, high=1000.0)
reg("Same", steps=7, end_at=7)
reg("Cut", steps=7)
