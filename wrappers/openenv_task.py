"""The task inside a century as an OpenEnv environment (needs pg-envs[openenv]).

    app = create_fastapi_app(lambda: InteractionEnvironment(env.unwrapped.interaction()), Answer, Turn)

OpenEnv and those who speak its protocol, verifiers' ``openenv`` task set among them, then give answers over a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from pg_envs.interaction import OBJECTIVES, Interaction
from pg_envs.models.conversation import Message


class Answer(Action):
    """What a policy says."""

    content: str = Field(description="the assistant's turn")


class Turn(Observation):
    """A conversation in which it is the policy's turn, or that is over."""

    messages: list[Message] = Field(description="the turns so far, with role and content")
    scores: dict[str, float] = Field(default_factory=dict, description="the last answer's objectives, each in [0, 1]")


class InteractionEnvironment(Environment):
    """One survey question an episode, which the humans talk over for ``n_turns`` answers.

    ``reset(seed)`` gives the question: the same for the same seed, so that a group that shares a seed shares its start. Every
    answer is scored; its reward is the weighted sum of its objectives. Between answers the humans of the century in view speak.
    """

    def __init__(self, interaction: Interaction, weights: Mapping[str, float] | None = None, n_turns: int = 1) -> None:
        """Serve an interaction.

        Args:
            interaction: Of a ProgressGym environment, which whoever serves it steps from century to century.
            weights: Of the objectives in the reward; those left out weigh nothing. None is agreement alone.
            n_turns: Answers an episode.

        Raises:
            ValueError: If an objective does not exist, or ``n_turns`` is not a whole number, 1 or more.
        """
        super().__init__()
        self._weights = {"agreement": 1.0} if weights is None else dict(weights)
        unknown = [name for name in self._weights if name not in OBJECTIVES]
        if unknown:
            raise ValueError(f"weights: unknown objective {unknown[0]!r}; choose from {', '.join(OBJECTIVES)}")
        if not isinstance(n_turns, int) or isinstance(n_turns, bool) or n_turns < 1:
            raise ValueError(f"n_turns={n_turns!r}: expected a whole number of answers, at least 1")
        self._interaction, self._n_turns = interaction, n_turns
        self._messages: list[Message] = []
        self._state = State()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Turn:
        """Begin with the first prompt of ``seed``; None draws a seed."""
        chosen = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        (row,) = self._interaction.prompts(chosen, 1)
        self._messages = list(row["prompt"])
        self._state = State(episode_id=episode_id, step_count=0)
        return Turn(messages=list(self._messages), metadata={"seed": chosen, "answers": row["answers"]})

    def step(self, action: Answer, timeout_s: float | None = None, **kwargs: Any) -> Turn:
        """Score an answer; unless it was the last, let the humans speak.

        Raises:
            gymnasium.error.ResetNeeded: Before ``reset`` and after the last answer.
            QueryBudgetExceeded: As ``Interaction.score`` and ``reply``; the answer then has not been given.
        """
        if not self._messages or self._state.step_count == self._n_turns:
            raise gym.error.ResetNeeded("an answer before reset(), or after the last one: call reset() first")
        messages = [*self._messages, {"role": "assistant", "content": action.content}]
        scores = self._interaction.score(messages)
        done = self._state.step_count + 1 == self._n_turns
        if not done:
            messages.append({"role": "user", "content": self._interaction.reply(messages)})
        self._messages = messages
        self._state.step_count += 1
        reward = sum(weight * scores[name] for name, weight in self._weights.items())
        return Turn(messages=list(messages), scores=scores, reward=reward, done=done)

    @property
    def state(self) -> State:
        """The episode's id and how many answers there were."""
        return self._state
