"""Whether what kind of text there is depends on the century, so that a change of time may be one of genre."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pg_envs.data.describing.tally import NOT_RECORDED, CenturyTally

V_THRESHOLD = 0.3
CONFOUNDERS = {"source": "source", "genre": "genre", "layout": "layout"}
"""Kinds of labels that are looked at, and how the report calls them."""


def cramers_v(table: np.ndarray) -> float | None:
    """Cramér's V with Bergsma's correction for bias (Journal of the Korean Statistical Society 42, 2013): 0 independent, 1 determined.

    With phi² = chi² / n of the r x c table: max(0, phi² - (r-1)(c-1)/(n-1)) / (min(r', c') - 1), its root, where r' = r - (r-1)²/(n-1)
    and c' likewise.

    Args:
        table: (r, c) counts. Empty rows and columns are left out.

    Returns:
        None where fewer than two rows or columns are left: then there is nothing to depend on.
    """
    table = table[table.sum(1) > 0][:, table.sum(0) > 0].astype(float)
    n, (r, c) = table.sum(), table.shape
    if r < 2 or c < 2:
        return None
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = max(0.0, ((table - expected) ** 2 / expected).sum() / n - (r - 1) * (c - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi2 / least))) if least > 0 else None


def confounding(tallies: Sequence[CenturyTally]) -> dict[str, dict[str, Any]]:
    """For each kind of label: Cramér's V of label and century over documents, and the centuries that have a single label.

    Documents are counted, not passages: passages of one document are of one kind, which would look like evidence. A document counts
    once for each label it has; those without a recorded label do not count.
    """
    return {kind: _of_kind(tallies, kind) for kind in CONFOUNDERS}


def _of_kind(tallies: Sequence[CenturyTally], kind: str) -> dict[str, Any]:
    counts = [Counter(label for _, label in tally.document_labels[kind] if label != NOT_RECORDED) for tally in tallies]
    labels = sorted(set().union(*counts))
    table = np.array([[count[label] for label in labels] for count in counts]).reshape(len(counts), len(labels))
    documents = {document for tally in tallies for document, _ in tally.document_labels[kind]}
    labelled = {document for tally in tallies for document, label in tally.document_labels[kind] if label != NOT_RECORDED}
    single = {t.century: next(iter(count)) for t, count in zip(tallies, counts, strict=True) if len(count) == 1 and len(labels) > 1}
    return {
        "cramers_v": cramers_v(table),
        "n_documents": int(table.sum()),
        "n_unlabelled": len(documents - labelled),
        "n_labels": len(labels),
        "single": single,
    }


def warnings(found: dict[str, dict[str, Any]]) -> list[str]:
    """What a reader has to know before comparing centuries, a sentence each."""
    said = []
    if not found["genre"]["n_documents"]:
        said.append("No passage has a field 'genre'; source and layout are all that tells about it here. --genres takes a table of it.")
    elif n_unlabelled := found["genre"]["n_unlabelled"]:
        said.append(f"The genre of {n_unlabelled} documents is not known; they count neither for nor against what is said of it.")
    for kind, name in CONFOUNDERS.items():
        v, single = found[kind]["cramers_v"], found[kind]["single"]
        if v is not None and v >= V_THRESHOLD:
            counted = f"{found[kind]['n_documents']} documents (one with several {name}s counts for each)"
            said.append(
                f"{name.capitalize()} is confounded with century: Cramér's V {v:.2f} over {counted}, at or above {V_THRESHOLD}. "
                f"What differs between centuries may be a difference of {name}."
            )
        if single:
            said.append(f"Centuries with a single {name}: " + ", ".join(f"{c} ({label})" for c, label in single.items()) + ".")
    return said
