"""A limit on questions beyond the survey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from pg_envs.models.conversation import Prompt, check_prompts
from pg_envs.questions import QueryBudgetExceeded
from pg_envs.values.survey import Comparison, check_comparisons
from wrappers.shared import progress_env


class QueryBudget(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Limits ``ask`` and ``respond`` to so many questions per century, per episode, or both.

    It binds whoever asks through ``env.get_wrapper_attr("ask")``, as ``pg_envs.agent_view.AgentView``, and with it every
    agent, does; ``env.unwrapped.ask`` goes past all wrappers. Every comparison and every prompt is one question, counted by
    the environment itself, so that questions asked past this wrapper use the budget up too. A ``query_budget`` of the
    environment holds besides.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import QueryBudget

    env = QueryBudget(gym.make("ProgressGym/Follow-v0", history="simulated"), per_century=10, per_episode=50)
    env.reset(seed=0)
    votes = env.ask(env.unwrapped.survey[:10])  # an eleventh question in this century raises QueryBudgetExceeded
    ```
    """

    def __init__(self, env: gym.Env[Any, Any], per_century: int | None = None, per_episode: int | None = None) -> None:
        """Wrap a ProgressGym environment.

        Args:
            env: The environment.
            per_century: Questions allowed within a step, 0 or more; None for no limit.
            per_episode: Questions allowed from reset to the end, 0 or more; None for no limit.

        Raises:
            ValueError: If there is no limit at all, one is not a whole number, or it is no ProgressGym environment.
        """
        gym.utils.RecordConstructorArgs.__init__(self, per_century=per_century, per_episode=per_episode)
        gym.Wrapper.__init__(self, env)
        for name, limit in (("per_century", per_century), ("per_episode", per_episode)):
            if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
                raise ValueError(f"{name}={limit!r}: expected a whole number of questions, or None for no limit")
        if per_century is None and per_episode is None:
            raise ValueError("QueryBudget limits nothing: give per_century, per_episode or both")
        self._inner = progress_env(env, type(self))
        self.per_century, self.per_episode = per_century, per_episode

    @property
    def query_budget(self) -> int:
        """The most questions that any one century can have: the smallest of all limits."""
        limits = (self.env.get_wrapper_attr("query_budget"), self.per_century, self.per_episode)
        return min(limit for limit in limits if limit is not None)

    def ask(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """As ``ProgressEnv.ask``.

        Raises:
            ComparisonError: If these are no comparisons.
            QueryBudgetExceeded: If that is more than a limit allows; nothing is asked then.
        """
        check_comparisons(comparisons)
        self._check(len(comparisons))
        return self.env.get_wrapper_attr("ask")(comparisons)

    def respond(self, prompts: Sequence[Prompt]) -> list[str]:
        """As ``ProgressEnv.respond``.

        Raises:
            ConversationError: If these are no prompts.
            QueryBudgetExceeded: As ``ask``.
        """
        check_prompts(prompts)
        self._check(len(prompts))
        return self.env.get_wrapper_attr("respond")(prompts)

    def _check(self, n: int) -> None:
        for limit, n_asked, name, where in (
            (self.per_century, self._inner.n_queries, "per_century", f"in {self._inner.history.labels[self._inner.century]}"),
            (self.per_episode, self._inner.n_queries_total, "per_episode", "in this episode"),
        ):
            if limit is not None and n_asked + n > limit:
                raise QueryBudgetExceeded(
                    f"{n} more questions after {n_asked} {where} exceed {name}={limit}; ask fewer, or give QueryBudget a larger {name}"
                )
