"""A map by threads whose results are used meanwhile: pyarrow and numpy compute without Python's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what `map` would, in order, errors included; at most WORKERS + 1 items are under way: memory is bounded."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[Result]] = deque()
        rest = iter(items)
        ended: Exception | None = None
        while ended is None:
            try:
                waiting.append(pool.submit(work, next(rest)))
            except Exception as error:
                ended = error
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if not isinstance(ended, StopIteration):
            raise ended
