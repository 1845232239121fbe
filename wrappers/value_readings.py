"""Votes as values: nineteen numbers a century instead of hundreds of votes, and those of earlier centuries."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict

from pg_envs.values.dimensions import N_DIMENSIONS
from pg_envs.values.reading import reading_matrix
from wrappers.shared import env_with_votes


class ValueReadings(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Observes values read from the votes, of the century in view and of some before it, so that small networks can learn from them.

    ## Observation Space
    ``Dict(century: Discrete(N), readings: Box(-1, 1, (memory + 1, 19), float32))``. ``readings[0]`` is read from the votes in view, by
    the signs of what each comparison asks about (``pg_envs.values.reading.reading_matrix``); ``readings[k]`` from those k centuries
    earlier. Where the episode has not had so many, the oldest is repeated: nothing has moved as far as anybody knows. A reading is noisy:
    it rests on one vote a comparison. No vote (0) counts as undecided, and so do all in the observation after the last step.

    Actions, rewards and infos stay as they are.

    ## Example
    ```python
    import gymnasium as gym
    from stable_baselines3 import PPO

    import pg_envs  # registers the environments
    from wrappers import ValueReadings

    env = ValueReadings(gym.make("ProgressGym/Predict-v0", history="simulated-random"), memory=2)
    model = PPO("MultiInputPolicy", env)
    ```
    """

    def __init__(self, env: gym.Env[Any, Any], memory: int = 2) -> None:
        """Wrap a ProgressGym environment.

        Args:
            env: The environment.
            memory: How many earlier centuries are observed besides the one in view, 0 or more.

        Raises:
            ValueError: If it is no ProgressGym environment, its votes are not observed, or ``memory`` is no whole number, 0 or more.
        """
        gym.utils.RecordConstructorArgs.__init__(self, memory=memory)
        gym.Wrapper.__init__(self, env)
        if not isinstance(memory, int) or isinstance(memory, bool) or memory < 0:
            raise ValueError(f"memory={memory!r}: expected a whole number of centuries, 0 or more")
        self._matrix = reading_matrix(env_with_votes(env, type(self)).survey)
        self._seen: deque[np.ndarray] = deque(maxlen=memory + 1)
        century = env.observation_space["century"]  # type: ignore[index]
        self.observation_space = Dict({"century": century, "readings": Box(-1.0, 1.0, (memory + 1, N_DIMENSIONS), np.float32)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._seen.clear()
        return self._read(observation), info

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._read(observation), reward, terminated, truncated, info

    def _read(self, observation: dict[str, Any]) -> dict[str, Any]:
        reading = np.clip(self._matrix @ observation["votes"], -1, 1).astype(np.float32)
        self._seen.appendleft(reading)
        missing = [self._seen[-1]] * ((self._seen.maxlen or 1) - len(self._seen))
        return {"century": observation["century"], "readings": np.stack([*self._seen, *missing])}
