"""What happens where memory does not do: an engine tries once with half its batch, and says so; then it fails with what to do."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class NotEnoughMemory(MemoryError):
    """A model that does not fit, even with half the batch; the message says what was tried and what to do."""


class Batching(Protocol):
    """What is halved."""

    batch_tokens: int


EngineT = TypeVar("EngineT", bound=Batching)
_halved = "_batch_was_halved"


def was_halved(engine: object) -> bool:
    """Whether memory did not do once, so that the engine should do with less."""
    return bool(getattr(engine, _halved, False))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python, torch on a processor, or torch on a GPU says that memory does not do."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)


def halving_batch_once(
    method: Callable[Concatenate[EngineT, Parameters], Result],
) -> Callable[Concatenate[EngineT, Parameters], Result]:
    """Have an engine's method tried again with half of ``batch_tokens`` where memory does not do; once in an engine's life.

    Another batch size rounds differently, so numbers may differ from those of a machine with more memory, by as much as
    ``docs/reliability.md`` says; a warning is logged.

    Raises:
        NotEnoughMemory: If half the batch does not fit either.
    """

    @functools.wraps(method)
    def trying(engine: EngineT, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if not was_halved(engine):
            # Not within the handler, where the error would keep alive what filled the memory.
            if (made := _attempt(method, engine, *args, **kwargs)) is not None:
                return made[0]
            engine.batch_tokens = max(1, engine.batch_tokens // 2)
            setattr(engine, _halved, True)
            _release()
            logger.warning("not enough memory: going on with half the batch, %d tokens", engine.batch_tokens)
        if (made := _attempt(method, engine, *args, **kwargs)) is not None:
            return made[0]
        raise NotEnoughMemory(
            f"not enough memory for {args[0] if args else 'a model'} with a batch of {engine.batch_tokens} tokens, halved once already; "
            "use a machine with more memory, a smaller model, or an engine on another machine (engine='openai:URL')"
        )

    return trying


def _attempt(method: Callable[..., Result], *args: Any, **kwargs: Any) -> tuple[Result] | None:
    """The result, or None where memory did not do."""
    try:
        return (method(*args, **kwargs),)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _release() -> None:
    """Give back what a GPU's allocator keeps."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
