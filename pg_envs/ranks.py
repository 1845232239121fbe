"""Several processes that do one run together, as ``accelerate launch`` starts them; each has a number, its rank.

All run the same code on the same random numbers, and so take the same decisions. The first one, rank 0, writes what is written, and
what is computed in parts is exchanged. In a single process everything here does nothing, and accelerate is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST_WAIT = timedelta(hours=4)
"""For a rank that measures or saves while others wait; after that torch takes it for dead."""
SPLITTING = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
"""Where ``accelerate launch`` says that its configuration is one that splits models."""


def n_ranks() -> int:
    """How many processes do this run; 1 unless a launcher said otherwise."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0."""
    return 0 if n_ranks() == 1 else int(_state().process_index)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def local_rank() -> int:
    """This process's number on its machine, and that of the GPU that is its own."""
    return 0 if n_ranks() == 1 else int(_state().local_process_index)


def by_first(action: Callable[[], T]) -> T:
    """Have the first rank do something, and tell all what came of it.

    All must call it. What ``action`` returns or raises must pickle.

    Raises:
        Exception: In all, what ``action`` raised in the first.
    """
    if n_ranks() == 1:
        return action()
    if is_first():
        try:
            done = action()
        except Exception as error:
            _tell((None, error))
            raise
        _tell((done, None))
        return done
    value, failure = _tell(None)
    if failure is not None:
        raise failure
    return value


def by_all(action: Callable[[], T]) -> list[T]:
    """Have every rank do something, and go on when all have.

    All must call it. What ``action`` returns or raises must pickle.

    Returns:
        What came of it in each, in their order.

    Raises:
        Exception: In all, what ``action`` raised in any.
    """
    if n_ranks() == 1:
        return [action()]
    try:
        done = action()
    except Exception as error:
        _gather((None, error))
        raise
    outcomes = _gather((done, None))
    for _, failure in outcomes:
        if failure is not None:
            raise failure
    return [value for value, _ in outcomes]


def in_any(flag: bool) -> bool:
    """Whether a flag is up in any of the ranks; all must call it."""
    if n_ranks() == 1:
        return flag
    import torch
    from accelerate.utils import reduce

    return bool(reduce(torch.tensor(float(flag), device=_state().device), reduction="sum") > 0)


def share_of(batch_size: int, setting: str = "batch_size") -> int:
    """How many of a step's examples each rank takes; ``setting`` says where their number comes from.

    Raises:
        ValueError: If they do not come out even.
    """
    if batch_size % n_ranks():
        raise ValueError(
            f"{setting}={batch_size}: a step's examples cannot be shared out evenly over {n_ranks()} processes; "
            f"choose a multiple of {n_ranks()}, or launch another --num_processes"
        )
    return batch_size // n_ranks()


def weights_in_parts() -> bool:
    """Whether trainings of this run split a model's weights over its processes, by FSDP or DeepSpeed."""
    return n_ranks() > 1 and any(os.environ.get(name, "false").lower() == "true" for name in SPLITTING)


def _state() -> Any:
    import torch
    from accelerate import PartialState

    # Arguments count for the first call only, which sets up the connections. It must be this one: accelerate's own functions make a
    # state where they find none, and on a processor that is one of a single process.
    return PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)


def _tell(what: Any) -> Any:
    """What the first rank gave."""
    from accelerate.utils import broadcast_object_list

    _state()
    return broadcast_object_list([what])[0]


def _gather(what: Any) -> list[Any]:
    """What each rank gave."""
    from accelerate.utils import gather_object

    _state()
    return list(gather_object([what]))
