"""What an agent may see of an environment: the survey, the spaces, its questions; nothing that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_envs.interaction import Interaction
from pg_envs.models.conversation import Prompt
from pg_envs.models.space import AnyModelSpace
from pg_envs.values.survey import Comparison


class AgentView:
    """An environment as agents see it.

    Rewards, infos, the trace of the episode and the history's humans are not here. This keeps honest agents honest; it is no
    sandbox against code that sets out to break it, and a run's folder has ``result.json``, next to the agent's own.

    Questions go to the outermost wrapper that has an ``ask`` or ``respond`` of its own, and from there inwards to the
    environment: a wrapper that limits or changes questions (``wrappers.QueryBudget``, ``wrappers.NoisyHumans``) binds the agent.

    Attributes:
        survey: The comparisons behind an observation's votes.
        labels: The centuries' labels.
        history_name: Which history it is.
        observation_space: As the environment's.
        action_space: As the environment's, wrappers included; of the models that it would name as examples only ``initial_policy``,
            since the others are the humans of centuries to come.
        lookahead: How many centuries ahead the policy will be judged, where that is fixed by the environment
            (0 in Follow, 1 or more in Predict), else None.
        query_budget: Questions allowed in a century, or None.
        speaks: Whether the humans are language models, which can converse.
    """

    __slots__ = (
        "_ask",
        "_initial_policy",
        "_moment",
        "_respond",
        "action_space",
        "history_name",
        "labels",
        "lookahead",
        "observation_space",
        "query_budget",
        "speaks",
        "survey",
    )

    def __init__(self, env: Any) -> None:
        """Look at ``env``, a ProgressGym environment with all its wrappers."""
        inner = env.unwrapped
        self.survey: tuple[Comparison, ...] = inner.survey
        self.labels: tuple[str, ...] = inner.history.labels
        self.history_name = inner.history.name
        self.speaks: bool = inner.history.speaks
        self.observation_space, self.action_space = env.observation_space, env.action_space
        if isinstance(self.action_space, AnyModelSpace):
            self.action_space = type(self.action_space)([inner.initial_policy])
        self.lookahead, self.query_budget = inner.judged_ahead, env.get_wrapper_attr("query_budget")
        # Functions, so that the environment itself is no attribute.
        self._ask: Callable[[Sequence[Comparison]], np.ndarray] = lambda comparisons: env.get_wrapper_attr("ask")(comparisons)
        self._respond: Callable[[Sequence[Prompt]], list[str]] = lambda prompts: env.get_wrapper_attr("respond")(prompts)
        self._moment: Callable[[], int] = lambda: inner.moment
        self._initial_policy: Callable[[], Any] = lambda: env.get_wrapper_attr("initial_policy")

    @property
    def initial_policy(self) -> Any:
        """What the policy starts as; a random history draws it anew at every reset."""
        return self._initial_policy()

    @property
    def moment(self) -> int:
        """A number that no other century of this or another episode has."""
        return self._moment()

    def ask(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """Let this century's humans vote; see ``ProgressEnv.ask``."""
        return self._ask(comparisons)

    def respond(self, prompts: Sequence[Prompt]) -> list[str]:
        """Let this century's humans reply; see ``ProgressEnv.respond``."""
        return self._respond(prompts)

    def interaction(self, votes_per_comparison: int = 1) -> Interaction:
        """The task inside a century; its questions take the way of ``ask`` and ``respond``. See ``ProgressEnv.interaction``."""
        return Interaction(self, votes_per_comparison)
