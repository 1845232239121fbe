"""What an agent may see of an environment: the survey, the spaces, its questions; nothing that is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pg_envs.interaction import Interaction
from pg_envs.models.conversation import Prompt
from pg_envs.models.space import AnyModelSpace
from pg_envs.values.survey import Comparison, ComparisonError, check_comparisons

_envs: WeakKeyDictionary[AgentView, Any] = WeakKeyDictionary()
"""The environment behind each view: not an attribute of it, nor in a function that is one, so that neither leads there."""


class AgentView:
    """An environment as agents see it.

    Rewards, infos, the trace of the episode and the history's humans are not here, nor do attributes and functions of it lead there;
    evaluation items are not asked; and a run's ``result.json``, next to the agent's own folder, is withheld while it acts (see
    ``pg_envs.withheld``). This keeps honest agents honest; it is no sandbox against code that sets out to break it. Whatever runs in
    the same process can look into this module, into the frames that called it or the garbage collector's lists, make an environment of
    its own, read other runs' results, and put an evaluation item into words of its own.

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
        "__weakref__",
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
        _envs[self] = env

    @property
    def initial_policy(self) -> Any:
        """What the policy starts as; a random history draws it anew at every reset."""
        return _envs[self].get_wrapper_attr("initial_policy")

    @property
    def moment(self) -> int:
        """A number that no other century of this or another episode has."""
        return _envs[self].unwrapped.moment

    def ask(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """Let this century's humans vote; see ``ProgressEnv.ask``.

        Raises:
            ComparisonError: Also if one is on an item that policies are evaluated on, word for word.
        """
        check_comparisons(comparisons)
        env = _envs[self]
        evaluated = {(item.context, option) for item in env.unwrapped.evaluation.items for option in item.options}
        asked, surveyed = set(comparisons), set(self.survey)
        for comparison in asked - surveyed:
            if all((comparison.item.context, text) in evaluated for text in comparison.texts):
                raise ComparisonError(
                    f"item {comparison.item.item_id!r} is one that policies are evaluated on, which agents cannot ask about; "
                    "ask about the survey's, or your own"
                )
        return env.get_wrapper_attr("ask")(comparisons)

    def respond(self, prompts: Sequence[Prompt]) -> list[str]:
        """Let this century's humans reply; see ``ProgressEnv.respond``."""
        return _envs[self].get_wrapper_attr("respond")(prompts)

    def interaction(self, votes_per_comparison: int = 1) -> Interaction:
        """The task inside a century; its questions take the way of ``ask`` and ``respond``. See ``ProgressEnv.interaction``."""
        return Interaction(self, votes_per_comparison)
