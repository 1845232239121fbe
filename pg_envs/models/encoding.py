"""Prompts and answers as tokens, in the same way for every engine that reads probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pg_envs.models.conversation import Prompt, as_messages


def encode_prompts(tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[int]]:
    """The tokens of user turns, or of whole conversations, within the tokenizer's chat template, up to where the reply begins."""
    turns = [as_messages(prompt) for prompt in prompts]
    texts = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return tokenizer(texts, add_special_tokens=False).input_ids


def encode_answer(tokenizer: Any, answer: str) -> list[int]:
    """The tokens of a reply, encoded on its own.

    Raises:
        ValueError: If it has none.
    """
    ids = tokenizer(answer, add_special_tokens=False).input_ids
    if not ids:
        raise ValueError(f"an answer must have at least one token; {answer!r} has none")
    return ids
