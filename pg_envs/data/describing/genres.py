"""Genres of documents from a table of one's own, for texts whose passages do not say."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pg_envs.data.schema import HistTextError

MAX_BYTES = 64 << 20
COLUMNS = ("document", "genre")


def read_genres(path: Path) -> dict[str, str]:
    """The genre of each document that a CSV in UTF-8 with the columns ``document`` and ``genre`` names.

    A document is a passage's ``document_id``, else its ``source_document``; of plain text it is the file's name without ``.txt``.

    Raises:
        HistTextError: If there is no such file, it is larger than 64 MB or no such CSV, or gives a document two genres.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise HistTextError(f"genres: {str(path)!r} has {size:,} bytes; expected at most {MAX_BYTES:,}")
        # A byte order mark is what spreadsheets put first.
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise HistTextError(f"genres: {str(path)!r} has no column {missing[0]!r}; expected the columns {' and '.join(COLUMNS)}")
        genres: dict[str, str] = {}
        for row in rows:
            document, genre = ((row[column] or "").strip() for column in COLUMNS)
            if not document or not genre:
                raise HistTextError(f"genres: {str(path)!r}, line {rows.line_num}: expected a document and its genre, found {row!r:.200}")
            if genres.setdefault(document, genre) != genre:
                raise HistTextError(
                    f"genres: {str(path)!r}, line {rows.line_num}: {document!r:.100} is {genre!r:.100} here and "
                    f"{genres[document]!r:.100} before; expected one genre a document"
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HistTextError(f"genres: {str(path)!r} cannot be read as a CSV in UTF-8: {error}") from error
    return genres
