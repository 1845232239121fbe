"""What the humans of a century can be asked beyond the survey, and how that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from pg_envs.agent_view import AgentView
from pg_envs.history.base import History
from pg_envs.interaction import Interaction
from pg_envs.models.conversation import Prompt, check_prompts
from pg_envs.questions import Questions
from pg_envs.values.survey import Comparison, VoteRule, cast_votes, check_comparisons

Observation = dict[str, Any]


class Asking(gym.Env[Observation, Any]):
    """The part of a ProgressGym environment that answers questions within a century; ``ProgressEnv`` is the rest.

    Attributes:
        history: Whose humans answer.
        vote_rule: How probabilities become votes.
    """

    history: History
    vote_rule: VoteRule
    _questions: Questions
    _century: int
    _running: bool

    @property
    def _voters(self) -> Any:
        """The policy that answers the surveys in this century."""
        return self.history.human(self._century)

    @property
    def query_budget(self) -> int | None:
        """Questions allowed in a century beyond the survey, or None."""
        return self._questions.budget

    @property
    def n_queries(self) -> int:
        """Questions asked in the century in view."""
        return self._questions.n_in_century

    @property
    def n_queries_total(self) -> int:
        """Questions asked in this episode."""
        return self._questions.n_in_episode

    @property
    def moment(self) -> int:
        """A number that no other century of this or another episode of this environment has."""
        return self._questions.moment

    def ask(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """Let this century's humans (in Coevolve: the human proxy) vote on more comparisons.

        Args:
            comparisons: Any, e.g. some of ``survey`` again, or of your own making.

        Returns:
            (len(comparisons),) int8 votes; +1 first option, -1 second, 0 no valid answer.

        Raises:
            ComparisonError: If these are no comparisons.
            QueryBudgetExceeded: If that is more than ``query_budget`` allows in this century.
            RecordingError: If the humans are recorded, and not on a comparison's item.
        """
        check_comparisons(comparisons)
        self._check_budget(len(comparisons))
        preferences = self.history.preferences(self._voters, comparisons)
        self.count_queries(len(comparisons))
        return cast_votes(preferences, self.vote_rule, self._questions.rng(self._century))

    def respond(self, prompts: Sequence[Prompt]) -> list[str]:
        """Let this century's humans (in Coevolve: the human proxy) reply to open questions, or go on with conversations.

        Args:
            prompts: Texts, or lists of turns as chat templates take them; the humans write the assistant's next turn.

        Raises:
            ConversationError: If these are no prompts, as a text without a list around it is none.
            QueryBudgetExceeded: As ``ask``.
            RecordingError: If the humans are recorded, and not on a prompt.
            TypeError: If the history is simulated: its humans have no words.
        """
        check_prompts(prompts)
        self._check_budget(len(prompts))
        replies = self.history.respond(self._voters, prompts, self._questions.rng(self._century))
        self.count_queries(len(prompts))
        return replies

    def interaction(self, votes_per_comparison: int = 1) -> Interaction:
        """The century in view as a task for any trainer: ``prompts(seed)``, ``reply(messages)``, ``score(messages)``.

        This goes past wrappers, as ``ask`` does; ``AgentView(env).interaction()`` goes through them.

        Args:
            votes_per_comparison: How many votes a score asks for, the first time in a century; see ``Interaction``.

        Raises:
            TypeError: If the history is simulated: its humans have no words.
        """
        return Interaction(AgentView(self), votes_per_comparison)

    def count_queries(self, n: int) -> None:
        """Count ``n`` questions as asked in this century, without asking: for whoever replays an interrupted run."""
        self._questions.count(n)

    def _check_budget(self, n: int) -> None:
        if not self._running:
            raise gym.error.ResetNeeded("a question before reset(), or after the episode's end: call reset() first")
        self._questions.check(n, self.history.labels[self._century])
