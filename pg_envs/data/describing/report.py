"""A description as a page of tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pg_envs.data.cleaning.language import Languages
from pg_envs.data.describing.tally import NOT_RECORDED
from pg_envs.data.markdown import escaped
from pg_envs.values.dimensions import DIMENSIONS

ABOUT_KINDS = """Shares of the century's words. Source, genre and language are what passages say (`source_dataset`, `genre`,
`language`); layout is estimated: short lines are twelve lines or more of which half have under 70 characters.
"""
ABOUT_LANGUAGES = """Shares of the characters of {sample} passages a century at most (drawn with seed {seed}, the first 10,000 characters
of each). {own} is what the cleaner's rule ({rule}) does not identify as another language.
"""
ABOUT_DIVERGENCE = """Jensen-Shannon divergence of word distributions (Lin 1991): 0 bits if they are the same, 1 if they share no word. The
diagonal compares two halves of a century's documents: what differs there is not time. New spelling counts as new words.
"""
ABOUT_CHANGES = """Words that add most to the divergence of neighbouring centuries, used in both halves of the documents of the century that
has more of them; in brackets occurrences in a million words, before → after.
"""
ABOUT_VALUES = """Mean cosine similarity of passages (the sample above, the first {max_tokens} tokens of each) to sentences that say
what each of the nineteen dimensions stands for, by {embedder}. It tells what texts speak of at least as much as what they hold, and a
model trained on modern text reads old spelling badly. In the table each passage's mean over all nineteen is taken off, so that what the
model finds in any such text does not count; bands in the pictures are 95% intervals (bootstrap over documents).
"""
MIN_SHARE_SHOWN = 0.001


def as_markdown(description: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The whole page; ``pictures`` are the files beside it."""
    parts = [
        f"# {escaped(description['text'])}, century by century\n",
        _warnings(description),
        "## How much\n",
        _amounts(description["centuries"]),
        _picture("amounts", pictures),
        "## What kind\n",
        ABOUT_KINDS,
    ]
    for kind, mix in description["mix"].items():
        parts += [f"### {kind.capitalize()}\n", _mix(mix), _picture(kind, pictures)]
    parts += [
        "### Language, identified\n",
        _about_languages(description),
        _identified(description),
        "## Vocabulary\n",
        ABOUT_DIVERGENCE,
        _divergence(description["divergence"]),
        _picture("divergence", pictures),
        ABOUT_CHANGES,
        _changes(description["changes"]),
    ]
    if description["values"] is not None:
        parts += _values(description, pictures)
    parts += ["## Left out\n", _left_out(description["left_out"])]
    return "\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, all but the first column set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def _picture(name: str, pictures: Sequence[str]) -> str:
    return f"![{name}]({name}.png)\n" if f"{name}.png" in pictures else ""


def _warnings(description: Mapping[str, Any]) -> str:
    said = "".join(f"* **Warning.** {escaped(warning)}\n" for warning in description["warnings"])
    rows = [
        [kind, "–" if row["cramers_v"] is None else f"{row['cramers_v']:.2f}", row["n_documents"], row["n_labels"]]
        for kind, row in description["confounding"].items()
    ]
    explained = "Cramér's V of a label and the century over documents, with Bergsma's correction (2013): 0 independent, 1 determined.\n"
    return said + "\n" + explained + "\n" + table(["label", "Cramér's V", "documents with a label", "labels"], rows)


def _amounts(centuries: Mapping[str, Mapping[str, int]]) -> str:
    columns = ("documents", "passages", "words", "different_words", "rare_words_dropped")
    rows = [[century, *(f"{row[column]:,}" for column in columns)] for century, row in centuries.items()]
    return table(["century", *(column.replace("_", " ") for column in columns)], rows)


def _mix(mix: Mapping[str, Mapping[str, int]]) -> str:
    if all(set(counts) == {NOT_RECORDED} for counts in mix.values()):
        return "No passage says.\n"
    rows = []
    for century, counts in mix.items():
        total = max(1, sum(counts.values()))
        shown = [f"{escaped(label)} {100 * n / total:.1f}%" for label, n in counts.items() if n >= MIN_SHARE_SHOWN * total]
        hidden = [f"{len(counts) - len(shown)} more"] if len(shown) < len(counts) else []
        rows.append([century, "; ".join(shown + hidden)])
    return table(["century", "shares"], rows).replace("---:", "---")


def _about_languages(description: Mapping[str, Any]) -> str:
    languages = Languages(tuple(description["languages"]))
    rule = "lingua, and few small English words" if languages.has_english else "lingua"
    if languages.unknown:
        rule = f"not asked, as no identifier knows {', '.join(languages.unknown)}"
    return ABOUT_LANGUAGES.format(**description, own=languages.described.capitalize(), rule=rule)


def _identified(description: Mapping[str, Any]) -> str:
    rows = []
    for century, shares in description["identified_languages"].items():
        row = description["centuries"][century]
        said = "; ".join(f"{language} {100 * share:.1f}%" for language, share in shares.items() if share >= MIN_SHARE_SHOWN)
        rows.append([century, row["sampled_passages"], row["sampled_documents"], said])
    return table(["century", "passages", "of documents", "shares"], rows)


def _divergence(divergence: Mapping[str, Any]) -> str:
    labels = divergence["centuries"]
    rows = [
        [label, *("–" if cell is None else f"{cell:.3f}" for cell in row)] for label, row in zip(labels, divergence["bits"], strict=True)
    ]
    return table(["bits", *labels], rows)


def _changes(changes: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for change in changes:
        gained, lost = (
            ", ".join(f"{escaped(row['word'])} ({row['per_million_before']:.0f} → {row['per_million_after']:.0f})" for row in change[side])
            for side in ("gained", "lost")
        )
        rows.append([f"{change['from']} → {change['to']}", gained, lost])
    return table(["centuries", "gained", "lost"], rows).replace("---:", "---")


def _values(description: Mapping[str, Any], pictures: Sequence[str]) -> list[str]:
    values = description["values"]
    rows = [
        [dimension.label, *(f"{century['relative']['mean'][d]:+.3f}" for century in values["centuries"].values())]
        for d, dimension in enumerate(DIMENSIONS)
    ]
    return [
        "## Closeness to values\n",
        ABOUT_VALUES.format(max_tokens=values["max_tokens"], embedder=escaped(description["embedder"])),
        table(["difference", *values["centuries"]], rows),
        _picture("values", pictures),
        _picture("values-relative", pictures),
    ]


def _left_out(left_out: Mapping[str, Any]) -> str:
    if not left_out["counts"]:
        return "Nothing: every file was read to its end, and every passage fits the schema.\n"
    counts = table(["what", "number"], [[escaped(kind), n] for kind, n in left_out["counts"].items()])
    return counts + "\n" + "".join(f"* {escaped(' '.join(message.split()))}\n" for message in left_out["examples"])
