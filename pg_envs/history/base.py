"""What a history is: who the humans of each century are, and what can be done with a policy."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from gymnasium import Space

from pg_envs.models.conversation import Prompt
from pg_envs.values.items import Questionnaire
from pg_envs.values.scoring import Scoring
from pg_envs.values.survey import Comparison, make_comparisons

CENTURIES: tuple[str, ...] = tuple(f"C{number:03d}" for number in range(13, 22))
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a period may be called: its label names folders."""


def are_labels(labels: Any) -> bool:
    """Whether this is a list of at least two different names that can name folders, whatever it was read from.

    Where one of the nine centuries is among them, all are centuries, one after another: ``C012``, ``C013``, ``C014``.
    """
    if not isinstance(labels, list) or not all(isinstance(label, str) and LABEL.fullmatch(label) for label in labels):
        return False
    if any(label in CENTURIES for label in labels):
        first = int(labels[0][1:]) if re.fullmatch("C[0-9]{3}", labels[0]) else 0
        return len(labels) >= 2 and labels == [f"C{number:03d}" for number in range(first, first + len(labels))]
    return len(set(labels)) == len(labels) >= 2


class HistoryError(ValueError):
    """A history, or a range of centuries, that does not exist."""


@dataclass(frozen=True)
class Values:
    """A value vector by both formulas.

    Attributes:
        centred: (19,) float64 in [-1, 1].
        upstream: (19,) float64, the published formula.
        standard_errors: (19,) of ``centred``; zeros where values are known exactly.
        n_invalid: Sampled replies that named no option and were left out, if values were measured here by sampling; else 0.
    """

    centred: np.ndarray
    upstream: np.ndarray
    standard_errors: np.ndarray
    n_invalid: int = 0

    def vector(self, scoring: Scoring) -> np.ndarray:
        """The vector by one of the two formulas."""
        return self.centred if scoring == "centred" else self.upstream


@dataclass(frozen=True)
class Survey:
    """The comparisons that humans vote on.

    Attributes:
        questionnaire: The survey half.
        comparisons: The Q comparisons behind an observation's votes.
    """

    questionnaire: Questionnaire
    comparisons: tuple[Comparison, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Lay out the comparisons."""
        object.__setattr__(self, "comparisons", make_comparisons(self.questionnaire.items))


class History(ABC):
    """A sequence of centuries' humans.

    A *policy* is whatever the history's ``policy_space`` contains: a ModelRef, or a value vector where the
    history is simulated. Humans are policies too.
    """

    name: str
    labels: tuple[str, ...]
    policy_space: Space[Any]
    speaks: ClassVar[bool] = True
    """Whether its policies are language models, which can converse."""

    @property
    def n_centuries(self) -> int:
        """How many centuries there are."""
        return len(self.labels)

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> None:
        """Begin an episode; a history that differs from episode to episode draws itself from ``rng``."""

    @abstractmethod
    def human(self, century: int) -> Any:
        """The policy that *is* the humans of a century (index from 0)."""

    @abstractmethod
    def human_values(self, century: int) -> Values:
        """The values of the humans of a century."""

    @abstractmethod
    def values(self, policy: Any) -> Values:
        """The values of a policy, measured on the evaluation items."""

    @abstractmethod
    def preferences(self, policy: Any, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(Q,) probabilities that a policy prefers each comparison's first option."""

    @abstractmethod
    def human_survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) ``preferences`` of a century's humans on the whole survey."""

    @abstractmethod
    def respond(self, policy: Any, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[str]:
        """A policy's replies to open questions, or to conversations."""

    @abstractmethod
    def influence(self, proxy: Any, source: Any, n_epochs: int, rng: np.random.Generator) -> Any:
        """The proxy after it has learnt from the source's survey answers; the proxy given is left as it was."""

    def fingerprint(self, policy: Any) -> str | None:
        """What changes with a policy's weights; None where policies have none."""
        return None

    def describe(self) -> dict[str, Any]:
        """What made this history's numbers, for results: names and hashes, JSON-able."""
        return {"name": self.name, "centuries": list(self.labels)}

    def check_policy(self, policy: Any) -> None:  # noqa: B027 - most histories have nothing to add
        """Raise an error that says why, if a policy of the space cannot be run."""

    def close(self) -> None:  # noqa: B027 - most histories hold nothing
        """Release what the history holds."""
