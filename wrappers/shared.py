"""What several wrappers share: knowing their environment, and random numbers of their own."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np

from pg_envs.env import ProgressEnv


def progress_env(env: gym.Env[Any, Any], wrapper: type[gym.Wrapper]) -> ProgressEnv:
    """The ProgressGym environment inside ``env``.

    Raises:
        ValueError: If there is another one, or ``wrapper`` is put around a vector environment.
    """
    inner = env.unwrapped
    if not isinstance(inner, ProgressEnv):
        raise ValueError(
            f"{wrapper.__name__} around {env}: expected a ProgressGym environment; for vector environments pass "
            f"wrappers=[{wrapper.__name__}] to gym.make_vec"
        )
    return inner


def env_with_votes(env: gym.Env[Any, Any], wrapper: type[gym.Wrapper]) -> ProgressEnv:
    """As ``progress_env``, for wrappers that read observations.

    Raises:
        ValueError: As ``progress_env``, or if a wrapper inside has replaced the votes.
    """
    inner = progress_env(env, wrapper)
    if env.observation_space != inner.observation_space:
        raise ValueError(
            f"{wrapper.__name__} around {env}: its observations are not the environment's any more, whose votes this wrapper reads; put it "
            "inside the wrapper that replaces them, as ValueReadings does"
        )
    return inner


class EpisodeRandomness:
    """Generators that follow from ``reset(seed=...)`` and leave the environment's own draws as they are."""

    def __init__(self, *stream: int) -> None:
        """Name the stream: two users with different numbers draw independently."""
        self._stream = stream
        self._episode = 0

    def begin(self, env: gym.Env[Any, Any]) -> None:
        """Begin an episode; to be called after every reset of ``env``."""
        # A copy is asked what comes next, so that the environment draws as if nobody had looked. After a reset
        # without a seed the generator goes on from the last episode, and so do we.
        self._episode = int(copy.deepcopy(env.np_random).integers(2**63))

    def generator(self, *place: int) -> np.random.Generator:
        """A new generator for a place in the episode; the same place gives the same numbers."""
        return np.random.default_rng([self._episode, *self._stream, *place])
