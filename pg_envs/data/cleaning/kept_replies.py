"""An engine whose replies are kept in a file as they come, so that what was answered before a stop is not asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pg_envs.data.cleaning.rewrite import Replier
from pg_envs.data.schema import HistTextError
from pg_envs.models.conversation import Prompt
from pg_envs.models.engine import Reply
from pg_envs.models.ref import ModelRef
from pg_envs.storage import CannotWrite

TABLE = "CREATE TABLE IF NOT EXISTS replies (question TEXT PRIMARY KEY, text TEXT NOT NULL, is_whole INTEGER NOT NULL)"


class KeepingEngine:
    """Another engine, and a database of what it has replied.

    A question is a prompt with the model's name and the settings: whoever puts other weights into the same folder removes the file.
    """

    def __init__(self, engine: Replier, path: Path) -> None:
        self._engine, self._path = engine, path
        with self._naming():
            self._database = sqlite3.connect(path)
            self._database.execute(TABLE)

    def check(self, model: ModelRef) -> None:
        """As the other engine's."""
        self._engine.check(model)

    def arithmetic(self) -> dict[str, Any]:
        """The other engine's."""
        return self._engine.arithmetic()

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """As the other engine's, of which only what is not in the file is asked."""
        questions = [_question(model, prompt, max_new_tokens, temperature, seed) for prompt in prompts]
        with self._naming():
            known = {question: reply for question in questions if (reply := self._known(question)) is not None}
        new = {question: prompt for question, prompt in zip(questions, prompts, strict=True) if question not in known}
        if new:
            replies = self._engine.replies(model, [*new.values()], max_new_tokens, temperature=temperature, seed=seed)
            known.update(zip(new, replies, strict=True))
            rows = [(question, known[question].text, known[question].is_whole) for question in new]
            with self._naming(), self._database:
                self._database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", rows)
        return [known[question] for question in questions]

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._database.close()

    def _known(self, question: str) -> Reply | None:
        row = self._database.execute("SELECT text, is_whole FROM replies WHERE question = ?", (question,)).fetchone()
        if row is not None and not isinstance(row[0], str):
            raise sqlite3.DatabaseError(f"a reply is {row[0]!r:.100}, which is no text")
        return None if row is None else Reply(row[0], bool(row[1]))

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CannotWrite(f"{self._path} cannot be used: {error}; mend that, then go on with the same command") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise HistTextError(f"{self._path} is damaged: {error}; remove it, and what it held is asked again") from error


def _question(model: ModelRef, *asked: Any) -> str:
    return hashlib.sha256(json.dumps([str(model), *asked]).encode()).hexdigest()
