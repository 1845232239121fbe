"""The reward as a vector: what each of the 19 dimensions adds."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class VectorReward(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Returns ``info["reward_vector"]`` as the reward, MO-Gymnasium's convention, with its ``reward_space``.

    The (19,) parts sum to the scalar reward, which goes into ``info["scalar_reward"]``. Wrappers that expect scalar
    rewards (``RecordEpisodeStatistics``) belong inside this one, MO-Gymnasium's own (``LinearReward``) around it. Gymnasium's vector
    environments have room for a number each; for vectors there is ``mo_gymnasium.wrappers.vector.MOSyncVectorEnv``.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import VectorReward

    env = VectorReward(gym.make("ProgressGym/Follow-v0", history="simulated"))
    env.reset(seed=0)
    _, reward, *_ = env.step(env.action_space.sample())  # (19,), what each dimension adds
    ```
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap a ProgressGym environment.

        Raises:
            ValueError: If the environment has no ``reward_space``.
        """
        # Recorded, so that gym.make(env.spec) makes the wrapped environment again.
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        if not hasattr(env.unwrapped, "reward_space"):
            raise ValueError(f"{env} has no reward_space; VectorReward needs a ProgressGym environment")
        self.reward_space = env.unwrapped.reward_space

    def step(self, action: Any) -> tuple[Any, np.ndarray, bool, bool, dict[str, Any]]:
        """As the environment's, with the (19,) float64 reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, info["reward_vector"].copy(), terminated, truncated, {**info, "scalar_reward": reward}
