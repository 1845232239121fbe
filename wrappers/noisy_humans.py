"""Humans whose votes are flipped, at random or by an adversary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from pg_envs.values.survey import Comparison
from wrappers.shared import EpisodeRandomness, env_with_votes

FlipMode = Literal["random", "adversarial"]
MODES: tuple[FlipMode, ...] = ("random", "adversarial")
RANDOM_STREAM = 2
EPISODE, VOTES, QUESTIONS = range(3)


class NoisyHumans(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Flips votes, in observations and in answers to ``ask``. Rewards, infos and ``respond`` stay as they are.

    * ``"random"``: every vote is flipped with probability ``share``, anew each time (classification noise; Angluin and
      Laird 1988). The mean of many votes tends to (1 - 2 share) times the humans', so asking again helps.
    * ``"adversarial"``: a ``share`` of the comparisons, drawn at reset, is flipped always, in every century and however
      often it is asked (label-flipping poisoning; Biggio, Nelson and Laskov 2011). Asking again does not help. The set has
      round(share * Q) of the survey's Q comparisons; any other comparison joins it with probability ``share`` when it is
      first asked. Which of two options stands first makes no difference.

    Flips are drawn by the environment's seed and change none of its own draws: votes of 0 stay 0, all others are the
    humans' or their opposite. In Coevolve the proxy learns from history's unflipped answers.

    Questions put to ``env.unwrapped.ask`` go past all wrappers; ``pg_envs.agent_view.AgentView`` asks through them.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import NoisyHumans

    env = NoisyHumans(gym.make("ProgressGym/Follow-v0", history="simulated"), share=0.2, mode="adversarial")
    observation, info = env.reset(seed=0)  # a fifth of the votes are the opposite
    ```
    """

    def __init__(self, env: gym.Env[Any, Any], share: float = 0.1, mode: FlipMode = "random") -> None:
        """Wrap a ProgressGym environment.

        Args:
            env: The environment.
            share: Of votes or comparisons to flip, in [0, 1].
            mode: ``"random"`` or ``"adversarial"``.

        Raises:
            ValueError: If an argument is out of range, it is no ProgressGym environment, or its votes are not observed.
        """
        gym.utils.RecordConstructorArgs.__init__(self, share=share, mode=mode)
        gym.Wrapper.__init__(self, env)
        if mode not in MODES:
            raise ValueError(f"mode={mode!r}: choose from {', '.join(map(repr, MODES))}")
        if not 0 <= share <= 1:
            raise ValueError(f"share={share!r}: expected a share of votes from 0 to 1")
        self._inner = env_with_votes(env, type(self))
        self.share, self.mode = share, mode
        # Two layers with one stream would undo each other's flips.
        self.noise_layer: int = env.get_wrapper_attr("noise_layer") + 1 if env.has_wrapper_attr("noise_layer") else 0
        self._randomness = EpisodeRandomness(RANDOM_STREAM, self.noise_layer)
        self._targets: dict[tuple[str, frozenset[int]], bool] = {}
        self._survey_targets = np.zeros(len(self._inner.survey), bool)
        self._question_rng: np.random.Generator | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's, with flipped votes; the adversary draws a new set of comparisons."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._randomness.begin(self.env)
        self._question_rng = None
        if self.mode == "adversarial":
            self._draw_targets()
        return self._noisy(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's, with flipped votes."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._question_rng = None
        return self._noisy(observation), reward, terminated, truncated, info

    def ask(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """As ``ProgressEnv.ask``, with flipped votes."""
        votes = self.env.get_wrapper_attr("ask")(comparisons)
        if self._question_rng is None:
            # Apart from the observations' flips, so that nobody's questions change later votes.
            self._question_rng = self._randomness.generator(QUESTIONS, self._inner.century)
        if self.mode == "adversarial":
            flips = np.array([self._is_target(comparison, self._question_rng) for comparison in comparisons], bool)
        else:
            flips = self._question_rng.random(len(comparisons)) < self.share
        return np.where(flips, -votes, votes)

    def _noisy(self, observation: dict[str, Any]) -> dict[str, Any]:
        votes = observation["votes"]
        if self.mode == "adversarial":
            flips = self._survey_targets
        else:
            flips = self._randomness.generator(VOTES, self._inner.century).random(len(votes)) < self.share
        return {**observation, "votes": np.where(flips, -votes, votes)}

    def _draw_targets(self) -> None:
        survey = self._inner.survey
        self._survey_targets = np.zeros(len(survey), bool)
        chosen = self._randomness.generator(EPISODE).choice(len(survey), round(self.share * len(survey)), replace=False)
        self._survey_targets[chosen] = True
        self._targets = {_key(comparison): bool(target) for comparison, target in zip(survey, self._survey_targets, strict=True)}

    def _is_target(self, comparison: Comparison, rng: np.random.Generator) -> bool:
        key = _key(comparison)
        if key not in self._targets:
            self._targets[key] = bool(rng.random() < self.share)
        return self._targets[key]


def _key(comparison: Comparison) -> tuple[str, frozenset[int]]:
    """What makes two comparisons the same, whichever option stands first."""
    return comparison.item.content_hash, frozenset((comparison.first, comparison.second))
