"""Items and questionnaires: what is asked, and its halves for the survey and for evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from pg_envs.values.dimensions import FOUNDATIONS, N_DIMENSIONS, Group


class QuestionnaireError(ValueError):
    """A questionnaire that cannot be read; the message names file, row and column."""


@dataclass(frozen=True)
class Item:
    """One question of the questionnaire.

    Attributes:
        item_id: The file's ``scenario_id``, with ``#2`` and so on where an id stands again with another text.
        group: Which kind of item it is.
        theme: The rule, foundation or worldview theme it was written for.
        context: The situation.
        options: Two options, or four in the order traditional, modern, post-modern, integrated.
        signs: For each of the ten rules or five foundations that the item tells about, +1 if choosing
            option 0 upholds it and -1 if option 1 does; ``(dimension index, sign)`` pairs. Empty for worldviews.
    """

    item_id: str
    group: Group
    theme: str
    context: str
    options: tuple[str, ...]
    signs: tuple[tuple[int, int], ...] = ()

    @property
    def content_hash(self) -> str:
        """A hash of what the item says, without its id."""
        content = [self.group, self.theme, self.context, self.options, self.signs]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Questionnaire:
    """A named sequence of items.

    Attributes:
        name: Where the items came from.
        items: The items.
        notes: What the reader dropped or repaired: (what, count).
    """

    name: str
    items: tuple[Item, ...]
    notes: tuple[tuple[str, int], ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.items)

    @property
    def content_hash(self) -> str:
        """A hash of all items in order; the first 16 hexadecimal digits of a SHA-256."""
        return hashlib.sha256("".join(item.content_hash for item in self.items).encode()).hexdigest()[:16]

    def split(self) -> tuple[Questionnaire, Questionnaire]:
        """The survey and the evaluation half: disjoint, balanced by theme, the same on every machine.

        The items of a theme are sorted by a hash of their content and dealt out in turn, so the halves do
        not depend on the order of rows and no author's habit (every second item easier, say) ends in one half.
        Within a theme the halves differ by at most one item.
        """
        by_theme: dict[tuple[str, str], list[Item]] = {}
        for item in self.items:
            by_theme.setdefault((item.group, item.theme), []).append(item)
        # Items, not their ids, which may be unique within a file only.
        survey: set[Item] = set()
        start = 0
        for theme in sorted(by_theme):
            ranked = sorted(by_theme[theme], key=lambda item: item.content_hash)
            survey.update(ranked[start::2])
            # Themes with an odd number of items favour the halves in turn.
            start = (start + len(ranked)) % 2
        return (
            Questionnaire(f"{self.name}/survey", tuple(i for i in self.items if i in survey)),
            Questionnaire(f"{self.name}/evaluation", tuple(i for i in self.items if i not in survey)),
        )


def items_per_dimension(items: Iterable[Item]) -> list[int]:
    """How many items tell about each of the 19 dimensions; every worldview item counts for all four views."""
    counts = [0] * N_DIMENSIONS
    for item in items:
        told = [d for d, _ in item.signs] if item.group != "worldview" else range(FOUNDATIONS.stop, N_DIMENSIONS)
        for dimension in told:
            counts[dimension] += 1
    return counts
