"""The environment that the three challenges share: one ``step()`` is one century."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from pg_envs.asking import Asking, Observation
from pg_envs.history.base import Values
from pg_envs.history.halves import halves
from pg_envs.history.registry import make_history
from pg_envs.judgement import judgement
from pg_envs.models.space import InvalidPolicy, named_policy
from pg_envs.questions import Questions
from pg_envs.values.dimensions import N_DIMENSIONS
from pg_envs.values.measure import Mode
from pg_envs.values.scoring import SCORINGS, Scoring
from pg_envs.values.survey import VOTE_RULES, Comparison, VoteRule, cast_votes


class ProgressEnv(Asking):
    """Base of the challenges: owns reset, step, rendering and the counting of questions.

    A challenge overrides ``n_steps`` and ``_judge`` (what a policy is worth) and, where humans change with the
    policy, ``_begin``, ``_voters`` and ``_survey_preferences``.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}  # noqa: RUF012 - declared so by Gymnasium

    def __init__(
        self,
        history: str = "histtiny",
        questionnaire: str = "bundled",
        engine: str = "transformers",
        mode: Mode = "logprob",
        scoring: Scoring = "centred",
        votes: VoteRule = "sample",
        query_budget: int | None = None,
        centuries: tuple[str, str] | list[str] | None = None,
        initial_policy: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments and lay out the spaces; models load at first use. See the challenges for the arguments."""
        _one_of("scoring", scoring, SCORINGS)
        _one_of("votes", votes, VOTE_RULES)
        _one_of("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self._questions = Questions(query_budget)
        self.survey_data, self.evaluation, self.questionnaire_hash = halves(str(questionnaire))
        self.history = make_history(history, self.survey_data, self.evaluation, centuries, engine, mode)
        self.scoring, self.vote_rule, self.render_mode = scoring, votes, render_mode
        self.survey: tuple[Comparison, ...] = self.survey_data.comparisons
        self.observation_space = spaces.Dict(
            {
                "century": spaces.Discrete(self.history.n_centuries),
                "votes": spaces.Box(-1, 1, (len(self.survey),), np.int8),
            }
        )
        self.action_space = self.history.policy_space
        self._initial_policy = None if initial_policy is None else named_policy(self.action_space, "initial_policy", initial_policy)
        self.reward_space = spaces.Box(-1.0, 1.0, (N_DIMENSIONS,), np.float64)
        # As MO-Gymnasium's environments have it; its wrappers read both.
        self.reward_dim = N_DIMENSIONS
        if self.n_steps < 2:
            raise ValueError(
                f"{type(self).__name__}: {self.history.n_centuries} centuries leave {self.n_steps} steps, and at least 2 are needed; "
                + self._how_to_lengthen
            )
        self._century, self._running = 0, False
        self._no_votes = np.zeros(len(self.survey), np.int8)
        self.trace: list[dict[str, Any]] = []
        """The infos of this episode's steps, for rendering and results."""

    # ------------------------------------------------------------------ what challenges say

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of an episode."""

    @property
    def judged_ahead(self) -> int | None:
        """How many centuries ahead of the one in view a policy is judged; None where that is not one century."""
        return 0

    @property
    def _how_to_lengthen(self) -> str:
        """What to change where an episode would be too short."""
        return "widen centuries"

    @abstractmethod
    def _judge(self, policy: Any) -> tuple[Values, Values, dict[str, Any]]:
        """The policy's values, the target's values, and what else belongs in ``info``.

        The reward is the cosine of the two unless the third says otherwise (``reward``, ``reward_vector``). State
        changes only once nothing can fail any more, so that a step that raises can be tried again.
        """

    def _begin(self) -> None:
        """Begin an episode, after the history has been reset."""

    def _survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) preferences on the whole survey of the voters of a century, asked for while that before it is still in view."""
        return self.history.human_survey_preferences(century)

    def episode_score(self) -> float:
        """The published score of the episode so far: the mean of its rewards."""
        return float(np.mean([step["reward"] for step in self.trace]))

    def score_constants(self) -> dict[str, Any]:
        """What ``episode_score`` needs besides the steps, so that whoever has a result can compute it again; usually nothing."""
        return {}

    # ------------------------------------------------------------------ Gymnasium's interface

    @property
    def initial_policy(self) -> Any:
        """What the policy starts as: a copy of the first century's humans, unless another was named."""
        return self.history.human(0) if self._initial_policy is None else self._initial_policy

    @property
    def century(self) -> int:
        """Index of the century in view."""
        return self._century

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode with the humans of the second century in view."""
        super().reset(seed=seed)
        self.history.reset(self.np_random)
        self._century, self._running, self.trace = 1, True, []
        self._questions.begin(int(self.np_random.integers(2**32)))
        self._begin()
        return self._observe(self._survey_preferences(1)), {"century_label": self.history.labels[1], "n_queries": 0}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One century: the policy is judged, the humans live on.

        Raises:
            gymnasium.error.ResetNeeded: Before ``reset`` and after the end of an episode.
            InvalidPolicy: If the action is not in the action space, with what was expected.
            ModelRefError: If it names a model that does not load.
        """
        if not self._running:
            raise gym.error.ResetNeeded("step() before reset(), or after the episode's end: call reset() first")
        if not self.action_space.contains(action):
            raise InvalidPolicy(f"the action {action!r} is not in {self.action_space}; start from env.unwrapped.initial_policy")
        self.history.check_policy(action)
        measured, target, more = self._judge(action)
        asked = {"n_queries": self.n_queries, "n_queries_total": self.n_queries_total}
        reward, judged = judgement(measured, target, self.scoring, {**asked, **more})
        info = {"century_label": self.history.labels[self._century], **judged}
        terminated = len(self.trace) + 1 == self.n_steps
        # The next humans too may have to be loaded or asked, and fail: before anything changes.
        preferences = None if terminated else self._survey_preferences(self._century + 1)
        self.trace.append({**info, "reward": reward})
        self._running = not terminated
        self._questions.next_century()
        if preferences is None:
            return {"century": self._century, "votes": self._no_votes.copy()}, reward, True, False, info
        self._century += 1
        return self._observe(preferences), reward, False, False, info

    def render(self) -> Any:
        """The episode so far: text for ``ansi``, an (H, W, 3) uint8 picture for ``rgb_array``."""
        from pg_envs.rendering import describe_state, draw_state

        if self.render_mode is None:
            gym.logger.warn("render() without render_mode; pass render_mode='ansi' or 'rgb_array' to gym.make")
            return None
        return describe_state(self) if self.render_mode == "ansi" else draw_state(self)

    def close(self) -> None:
        """Let go of models and temporary files; the environment may be reset again."""
        self.history.close()
        self._running = False

    # ------------------------------------------------------------------ inside

    def _observe(self, preferences: np.ndarray) -> Observation:
        votes = cast_votes(preferences, self.vote_rule, self.np_random)
        return {"century": self._century, "votes": votes}


def _one_of(name: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r}: choose from {', '.join(map(repr, choices))}")
