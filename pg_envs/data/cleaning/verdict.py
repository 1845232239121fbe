"""What a rule sees and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts
from pg_envs.data.cleaning.language import ForeignText, Languages
from pg_envs.data.cleaning.words import Vocabulary
from pg_envs.data.schema import HistTextError, Years

RawPassage = dict[str, Any]
Action = Literal["drop", "repair", "relabel", "split"]


@dataclass(frozen=True)
class Verdict:
    """What should happen to a passage.

    Attributes:
        action: ``drop`` it; ``repair`` its text or an unusable field; ``relabel`` its year; ``split`` it.
        passages: What takes its place: none, one, or the parts.
        detail: What was found, in a few words.
    """

    action: Action
    passages: tuple[RawPassage, ...]
    detail: str


@dataclass(frozen=True)
class Lengths:
    """How long passages may be, in characters.

    Raises:
        HistTextError: If no passage can be so long.
    """

    min_chars: int = 1000
    max_chars: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what would drop everything, or split without an end."""
        if not 0 <= self.min_chars <= self.max_chars or self.max_chars < 1:
            raise HistTextError(
                f"passages of {self.min_chars} to {self.max_chars} characters: expected 0 or more for the shortest, and for the longest at "
                "least as many, and 1 or more"
            )


@dataclass
class Context:
    """What rules know besides the passage.

    Attributes:
        documents: What the passages of each document agree on.
        seen: The texts kept so far.
        vocabulary: Modern English words.
        foreign: Finds text that is not in the history's languages.
        lengths: How long passages may be.
    """

    documents: Documents
    seen: SeenTexts
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    foreign: ForeignText = field(default_factory=ForeignText)
    lengths: Lengths = field(default_factory=Lengths)

    @property
    def years(self) -> Years:
        """From which years texts may be."""
        return self.documents.years

    @property
    def languages(self) -> Languages:
        """In which languages texts are."""
        return self.foreign.languages


RuleFunction = Callable[[RawPassage, Context], Verdict | None]
"""Gives None where it finds nothing. Apart from ``seen`` it changes nothing, the passage included."""


def reasons_of(passage: RawPassage) -> list[str]:
    """The reason codes of what was done to a passage, as far as its field ``cleaning``, which may be a stranger's, has any."""
    codes = passage.get("cleaning")
    return [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []


def drop(detail: str) -> Verdict:
    """The passage is left out."""
    return Verdict("drop", (), detail)


def repair(passage: RawPassage, detail: str, **fields: Any) -> Verdict:
    """The passage goes on with some fields changed."""
    return Verdict("repair", ({**passage, **fields},), detail)


def repair_text(passage: RawPassage, content: str, detail: str) -> Verdict | None:
    """The passage goes on with another text; None if it is the same text."""
    return None if content == passage["content"] else repair(passage, detail, content=content)
