"""Which prompts go through a model together, and what of them is read once.

Prompts that begin alike (one questionnaire item asked in several orders and forms) share a *stem*, which is read once
and whose cache all of them go on from. Lengths are rounded, so that few different shapes occur.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pg_envs.models.encoding import encode_answer, encode_prompts

STEM_STEP_TOKENS = 16
"""Stems have a multiple of this many tokens: those of a batch have one length, so that no cache has gaps before them."""
REST_STEP_TOKENS = 8
"""What follows a stem is padded to a multiple of this: processors compile a kernel for every new shape, so few are fast."""

ANSWER_STEP_TOKENS = 4
"""Prompts go together whose longest answers differ by less than this."""

Tokens = Sequence[int]


@dataclass
class Group:
    """Prompts that are read from one stem.

    Attributes:
        stem: How many tokens they have in common and read once; 0 for a prompt on its own.
        members: Indices of the prompts.
    """

    stem: int
    members: list[int]


@dataclass
class Batch:
    """Groups that go through the model together.

    Attributes:
        members: (B,) indices of the prompts.
        stems: (G, S) tokens, S the same for all and possibly 0.
        owners: (B,) which stem each prompt goes on from.
        rests: (B,) what each prompt has after its stem: at least one token.
        width: The longest rest, rounded up.
    """

    members: list[int] = field(default_factory=list)
    stems: list[Tokens] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    rests: list[Tokens] = field(default_factory=list)
    width: int = 0

    def add(self, group: Group, prompts: Sequence[Tokens], width: int) -> None:
        """Put a group in; its stem must be as long as the others'."""
        self.owners += [len(self.stems)] * len(group.members)
        self.stems.append(prompts[group.members[0]][: group.stem])
        self.rests += [prompts[index][group.stem :] for index in group.members]
        self.members += group.members
        self.width = max(self.width, width)

    @property
    def n_tokens(self) -> int:
        """Tokens to be read, padding included."""
        return sum(map(len, self.stems)) + len(self.rests) * self.width


@dataclass(frozen=True)
class Plan:
    """How questions are put to a model.

    Attributes:
        answers: For every prompt, the tokens of each of its answers.
        batches: All prompts, in the order in which they are read.
    """

    answers: list[list[list[int]]]
    batches: list[Batch]


def plan(tokenizer: Any, prompts: tuple[str, ...], answers: tuple[tuple[str, ...], ...], batch_tokens: int) -> Plan:
    """The tokens of ``answers[i]`` to ``prompts[i]``, and batches of prompts that have as many answers, about as long ones."""
    tokens = {answer: encode_answer(tokenizer, answer) for answer in dict.fromkeys(chain.from_iterable(answers))}
    answer_ids = [[tokens[answer] for answer in group] for group in answers]
    # Answers of about one length together: they are padded to the longest in a batch.
    kinds = [(len(group), max(map(len, group)) // ANSWER_STEP_TOKENS) for group in answer_ids]
    return Plan(answer_ids, list(batches(encode_prompts(tokenizer, prompts), kinds, batch_tokens)))


def group_by_stem(prompts: Sequence[Tokens], kinds: Sequence[Hashable]) -> list[Group]:
    """Groups of prompts of one kind that begin alike: greedily, in sorted order, as long as a member more saves tokens.

    Args:
        prompts: Their tokens, at least one each.
        kinds: Prompts of different kinds are never grouped.
    """
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    groups: list[Group] = []
    for index in sorted(range(len(prompts)), key=lambda i: (numbers[kinds[i]], tuple(prompts[i]))):
        last = groups[-1] if groups else None
        if last is not None and kinds[last.members[0]] == kinds[index]:
            n = len(last.members)
            shared = _n_shared(prompts[last.members[0]], prompts[index])
            stem = shared if n == 1 else min(last.stem, shared)
            # A member more saves one more reading of the stem, but may shorten it for those that are there.
            if stem * n > last.stem * (n - 1):
                last.stem = stem
                last.members.append(index)
                continue
        groups.append(Group(0, [index]))
    return groups


def batches(prompts: Sequence[Tokens], kinds: Sequence[Hashable], batch_tokens: int) -> Iterator[Batch]:
    """All prompts, about ``batch_tokens`` at a time, those of a batch of one kind and about one length, longest first."""
    alike: dict[tuple[int, int, Hashable], list[Group]] = {}
    for group in group_by_stem(prompts, kinds):
        longest = max(len(prompts[index]) for index in group.members)
        width = -(-(longest - group.stem) // REST_STEP_TOKENS) * REST_STEP_TOKENS
        alike.setdefault((group.stem, width, kinds[group.members[0]]), []).append(group)
    for (stem, width, _), groups in sorted(alike.items(), key=lambda entry: (entry[0][0] + entry[0][1], entry[0][1]), reverse=True):
        batch = Batch()
        for group in groups:
            if batch.members and batch.n_tokens + stem + len(group.members) * width > batch_tokens:
                yield batch
                batch = Batch()
            batch.add(group, prompts, width)
        yield batch


def by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows, longest first, as many at a time as have ``batch_tokens`` when padded to the longest (at least one)."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while order:
        size = max(1, batch_tokens // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def _n_shared(one: Tokens, other: Tokens) -> int:
    """Length of the common beginning, rounded down to a stem's and leaving each a token of its own."""
    most = min(len(one), len(other)) - 1
    n = next((i for i in range(most) if one[i] != other[i]), most)
    return n // STEM_STEP_TOKENS * STEM_STEP_TOKENS
