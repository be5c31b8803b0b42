import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box


class Varied(gym.Env):
    """Episodes of 1 to 39 steps, each of a length that its seed decides; success where the length is even."""

    def __init__(self):
        self.action_space = Box(-1, 1, (1,), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = int(self.np_random.integers(1, 40))
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, a):
        self.t += 1
        return (
            np.full(1, self.t, np.float32),
            1.0,
            self.t >= self.n,
            False,
            {"success": self.n % 2 == 0 and self.t >= self.n},
        )


gym.register("Field/Varied-v0", entry_point="fieldvar:Varied", max_episode_steps=30)
