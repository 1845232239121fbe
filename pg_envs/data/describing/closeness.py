"""How close a century's passages are to what the nineteen dimensions say, by a sentence-embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pg_envs.data.describing.statements import STATEMENTS
from pg_envs.data.describing.tally import CenturyTally
from pg_envs.progress import report
from pg_envs.values.dimensions import DIMENSIONS

BATCH = 32
N_RESAMPLES = 1000
COVERAGE = 0.95


def value_closeness(tallies: Sequence[CenturyTally], embedder: Any, seed: int) -> dict[str, Any]:
    """Mean cosine similarity of each century's sampled passages to each dimension's statements, with intervals.

    Args:
        tallies: Their samples are used.
        embedder: A ``SentenceTransformer``, or whatever has its ``encode`` and ``max_seq_length``. It sees a passage's first tokens.
        seed: Of the bootstrap.

    Returns:
        ``max_tokens`` and, by century, ``n_passages``, ``n_documents`` and, in ``similarity`` and ``relative``, three lists of 19:
        ``mean``, and the ends ``low`` and ``high`` of its interval (None if there is one document).
        ``relative`` is a passage's similarity less its
        mean over all dimensions: what the model finds in any such text, whatever it says, is gone from it.
    """
    statements = [(d, text) for d, dimension in enumerate(DIMENSIONS) for text in STATEMENTS[dimension.key]]
    embedded = _encode(embedder, [text for _, text in statements])
    # (n statements, 19): the mean of a dimension's statements.
    average = np.zeros((len(statements), len(DIMENSIONS)))
    for row, (d, _) in enumerate(statements):
        average[row, d] = 1 / len(STATEMENTS[DIMENSIONS[d].key])
    n_all = sum(len(tally.sample) for tally in tallies)
    n_done, centuries = 0, {}
    for tally in tallies:
        similarity = np.empty((len(tally.sample), len(DIMENSIONS)))
        for start in range(0, len(tally.sample), BATCH):
            report("embedding", n_done, n_all)
            batch = tally.sample[start : start + BATCH]
            similarity[start : start + BATCH] = _encode(embedder, [passage.content for passage in batch]) @ embedded.T @ average
            n_done += len(batch)
        documents = np.array([passage.document for passage in tally.sample], dtype=np.uint64)
        centuries[tally.century] = {
            "n_passages": len(documents),
            "n_documents": len(np.unique(documents)),
            "similarity": with_interval(similarity, documents, seed),
            "relative": with_interval(similarity - similarity.mean(1, keepdims=True), documents, seed),
        }
    report("embedding", n_all, n_all)
    return {"max_tokens": int(embedder.max_seq_length), "centuries": centuries}


def with_interval(values: np.ndarray, documents: np.ndarray, seed: int) -> dict[str, Any]:
    """Column means with 95% percentile intervals of a bootstrap over documents, since passages of one document are alike.

    Args:
        values: (n passages, k).
        documents: (n passages,) the document of each.
        seed: Of the resampling.

    Returns:
        ``mean``, ``low`` and ``high``, k numbers each; the latter are None if there are fewer than two documents.
    """
    _, index = np.unique(documents, return_inverse=True)
    n_documents = int(index.max()) + 1
    means = [round(float(mean), 5) for mean in values.mean(0)]
    if n_documents < 2:
        return {"mean": means, "low": None, "high": None}
    sums = np.zeros((n_documents, values.shape[1]))
    np.add.at(sums, index, values)
    drawn = np.random.default_rng(seed).multinomial(n_documents, np.full(n_documents, 1 / n_documents), N_RESAMPLES)
    resampled = (drawn @ sums) / (drawn @ np.bincount(index))[:, None]
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0).round(5).tolist()
    return {"mean": means, "low": low, "high": high}


def _encode(embedder: Any, texts: list[str]) -> np.ndarray:
    """(n, size) vectors of length 1."""
    vectors = embedder.encode(texts, batch_size=BATCH, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, float)
