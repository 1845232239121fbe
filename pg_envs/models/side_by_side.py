"""Several batches at once on a processor: what stands between a small model's products keeps one core busy, not all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Any, Task], Result], model: Any, tasks: Sequence[Task], at_once: int) -> Iterator[tuple[Task, Result]]:
    """``work(model, task)`` for all tasks, in their order; ``at_once`` of them are computed at a time.

    The caller has gradients switched off; in its threads they are.

    Each thread has a body of its own on the same weights, so that hooks of one do not meet another's tensors, and its share
    of the processor's threads. Leaving early, by an error too, waits for what is being computed and begins nothing more. Not for
    several threads of a program at once: meanwhile torch's number of threads is another.

    Raises:
        Exception: What ``work`` raises, at the task that it was raised for.
    """
    if at_once <= 1 or not tasks:
        yield from ((task, work(model, task)) for task in tasks)
        return
    n_threads = torch.get_num_threads()
    # A single task, too, gets no more than its share: with other threads its sums would be rounded in another order.
    share, n_bodies = max(1, n_threads // at_once), min(at_once, len(tasks))
    weights = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    bodies: SimpleQueue[Any] = SimpleQueue()
    for body in (model, *(copy.deepcopy(model, dict(weights)) for _ in range(n_bodies - 1))):
        bodies.put(body)

    def on_a_body(task: Task) -> Result:
        body = bodies.get()
        try:
            # Whether gradients are kept is each thread's own affair.
            with torch.inference_mode():
                return work(body, task)
        finally:
            bodies.put(body)

    pool = ThreadPoolExecutor(n_bodies, "batch", torch.set_num_threads, (share,))
    try:
        yield from zip(tasks, pool.map(on_a_body, tasks), strict=True)
    finally:
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            # What a thread sets for itself, threads begun later take over.
            torch.set_num_threads(n_threads)
