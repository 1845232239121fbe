"""The rules in the order in which they are asked, each with its reason code."""

from __future__ import annotations

from dataclasses import dataclass, field

from pg_envs.data.cleaning import boilerplate, characters, noise, origin, shape
from pg_envs.data.cleaning.language import Languages
from pg_envs.data.cleaning.verdict import Action, Context, RawPassage, RuleFunction, reasons_of

RULES: dict[str, RuleFunction] = {
    "no-content": shape.no_content,
    "bad-fields": shape.bad_fields,
    "no-source": origin.source,
    "year-type": origin.year_type,
    "no-year": origin.no_year,
    "mojibake": characters.mojibake,
    "markup": characters.markup,
    "invisible-characters": characters.invisible,
    "line-end-marks": characters.line_end_marks,
    "electronic-text": boilerplate.electronic_text,
    "editors-brackets": boilerplate.editors_brackets,
    "running-heads": noise.running_heads,
    "misread-letters": noise.misread_letters,
    "joined-words": noise.joined_words,
    "hard-wraps": characters.hard_wraps,
    "gaps": noise.gaps,
    "editors-matter": boilerplate.editors_matter,
    "foreign-language": origin.foreign_language,
    "document-year": origin.document_year,
    "author-year": origin.author_year,
    "impossible-year": origin.impossible_year,
    "too-short": shape.too_short,
    "too-long": shape.too_long,
    "duplicate": shape.duplicate,
    "near-duplicate": shape.near_duplicate,
}
"""Repairs come before what judges the text, so that nothing is dropped for a fault that can be mended; parts of a split passage go on
with the rules after it. Each function's docstring says what it finds."""

ENGLISH_ONLY = ("misread-letters", "joined-words", "editors-matter")
"""Rules that go by English words, and would take other languages for noise or overlook what they look for."""

ENGLISH_NOTICES = ("electronic-text", "editors-brackets")
"""Rules that are asked about all texts, and know what publishers of electronic texts write around them in English."""


def asked_rules(languages: Languages) -> dict[str, RuleFunction]:
    """The rules that have something to say about texts in these languages, in order."""
    silent = set() if languages.only_english else set(ENGLISH_ONLY)
    if languages.unknown:
        silent.add("foreign-language")
    return {reason: rule for reason, rule in RULES.items() if reason not in silent}


@dataclass
class Cleaned:
    """What became of one passage.

    Attributes:
        kept: What goes on: nothing, the passage, or its parts.
        findings: For each rule that found something: reason code, action, detail.
    """

    kept: list[RawPassage] = field(default_factory=list)
    findings: list[tuple[str, Action, str]] = field(default_factory=list)

    @property
    def action(self) -> str:
        """The gravest thing done: ``drop`` (nothing is left), ``split``, ``relabel``, ``repair`` or ``keep``."""
        if not self.kept:
            return "drop"
        done = {action for _, action, _ in self.findings}
        return next((action for action in ("split", "relabel", "repair") if action in done), "keep")


def clean_passage(passage: RawPassage, context: Context, name: str) -> Cleaned:
    """Ask every rule that is for the texts' languages about a passage in turn, and about its parts once it is split.

    Args:
        passage: As it was read; it is not changed.
        context: What rules know besides; what is kept is added to ``context.seen``.
        name: What later messages call the passage.

    Returns:
        What is left, with the reason codes of what was done to it under ``cleaning``.
    """
    cleaned = Cleaned(kept=[passage])
    for reason, rule in asked_rules(context.languages).items():
        going_on: list[RawPassage] = []
        for part in cleaned.kept:
            verdict = rule(part, context)
            if verdict is None:
                going_on.append(part)
                continue
            cleaned.findings.append((reason, verdict.action, verdict.detail))
            going_on.extend(verdict.passages)
        cleaned.kept = going_on
    reasons = [reason for reason, _, _ in cleaned.findings]
    for part in cleaned.kept:
        context.seen.keep(name, part["content"])
        # What an earlier cleaning or rewriting did stays true.
        if reasons:
            part["cleaning"] = list(dict.fromkeys([*reasons_of(part), *reasons]))
    return cleaned
