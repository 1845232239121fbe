"""Prompts of one turn or of many, as chat templates take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Message = dict[str, str]
"""A turn: ``role`` and ``content``."""
Prompt = str | Sequence[Message]
"""A user turn, or the turns of a conversation so far."""

ROLES = ("system", "user", "assistant")
OTHER_SIDE = {"user": "assistant", "assistant": "user", "system": "system"}


class ConversationError(ValueError):
    """Turns that no chat template takes, or that cannot be answered or scored; the message says which and why."""


def as_messages(prompt: Prompt) -> list[Message]:
    """The turns of a prompt; a text is one user turn."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def as_prompt(messages: Sequence[Message]) -> Prompt:
    """The turns as a prompt; one user turn is its text, under which recordings have it."""
    return messages[0]["content"] if len(messages) == 1 and messages[0]["role"] == "user" else messages


def exchange_sides(messages: Sequence[Message]) -> list[Message]:
    """The same turns with user and assistant exchanged; system turns stay."""
    return [{**message, "role": OTHER_SIDE[message["role"]]} for message in messages]


def check_prompts(prompts: Any) -> None:
    """Make sure that these are prompts, in a list or the like: a single text would be taken for as many as it has letters.

    Raises:
        ConversationError: Naming what is none.
    """
    if not isinstance(prompts, Sequence) or isinstance(prompts, str):
        raise ConversationError(f"prompts={prompts!r}: expected a list of prompts; a single one is a list of one")
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str | list | tuple):
            raise ConversationError(f"prompts[{index}]={prompt!r}: expected a text, or a list of turns")
        check_messages(as_messages(prompt))


def check_messages(messages: Any) -> None:
    """Make sure that there are turns, each of a known role and with a text.

    Raises:
        ConversationError: Naming the turn that is none.
    """
    if not isinstance(messages, list | tuple) or not messages:
        raise ConversationError(f"messages={messages!r}: expected a list of at least one turn, {{'role': 'user', 'content': '...'}}")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES or not _is_text(message.get("content")):
            raise ConversationError(
                f"messages[{index}]={message!r}: expected a dict with a role out of {', '.join(ROLES)}, and a content that is text"
            )


def _is_text(content: Any) -> bool:
    """Whether this is text that tokenizers take: half a character, as JSON can have it, is none."""
    return isinstance(content, str) and (content.isascii() or not any("\ud800" <= c <= "\udfff" for c in content))
