"""The votes in view as preference data for TRL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from pg_envs.values.survey import to_preference_dataset
from wrappers.shared import EpisodeRandomness, env_with_votes

if TYPE_CHECKING:
    from datasets import Dataset

RANDOM_STREAM = 1


class PreferenceDataset(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Adds ``preferences()``: the votes of the last observation as a ``datasets.Dataset`` that TRL's trainers take.

    Spaces, observations and rewards stay as they are, so that vector environments and checkers go on working; in a
    vector environment, ``envs.call("preferences")`` gives every environment's. Votes are taken as this wrapper sees them:
    put it around ``NoisyHumans``, not inside.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import PreferenceDataset

    env = PreferenceDataset(gym.make("ProgressGym/Follow-v0", history="simulated"))
    env.reset(seed=0)
    data = env.preferences()  # prompt, chosen, rejected: DPOTrainer(..., train_dataset=data)
    ```
    """

    def __init__(self, env: gym.Env[Any, Any], letters_only: bool = True) -> None:
        """Wrap a ProgressGym environment.

        Args:
            env: The environment.
            letters_only: Use only the question forms whose answer is a letter or a word, which are short; else all forms.

        Raises:
            ValueError: If it is no ProgressGym environment, or its votes are not observed.
        """
        gym.utils.RecordConstructorArgs.__init__(self, letters_only=letters_only)
        gym.Wrapper.__init__(self, env)
        self._survey = env_with_votes(env, type(self)).survey
        self._letters_only = letters_only
        self._randomness = EpisodeRandomness(RANDOM_STREAM)
        self._in_view: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._randomness.begin(self.env)
        self._keep(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self._in_view = None
        else:
            self._keep(observation)
        return observation, reward, terminated, truncated, info

    def preferences(self) -> Dataset:
        """The votes in view, one row a vote; votes of 0 give none.

        Forms and orders of the options are drawn by the environment's seed and the century: asked again, the same rows come.

        Returns:
            ``datasets.Dataset`` with conversational ``prompt``, ``chosen``, ``rejected``; see
            ``pg_envs.values.survey.to_preference_dataset``.

        Raises:
            gymnasium.error.ResetNeeded: Before ``reset`` and after the end of an episode, when no votes are in view.
        """
        if self._in_view is None:
            raise gym.error.ResetNeeded("preferences() before reset(), or after the episode's end: call reset() first")
        rng = self._randomness.generator(self._in_view["century"])
        return to_preference_dataset(self._survey, self._in_view["votes"], rng, self._letters_only)

    def _keep(self, observation: dict[str, Any]) -> None:
        # A copy: the observation is the user's, who may change it.
        self._in_view = {"century": int(observation["century"]), "votes": np.array(observation["votes"])}
