"""Work in as many threads as there are cores, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item], most: int | None = None) -> Iterator[Result]:
    """Yield what `map` would, in order, errors included, from threads: pyarrow and numpy release Python's lock.

    At most one item more than there are threads is under way, so memory is bounded: WORKERS, or `most` if that is less.
    """
    threads = min(WORKERS, most or WORKERS)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        rest = iter(items)
        ended: Exception | None = None
        while ended is None:
            try:
                waiting.append(pool.submit(work, next(rest)))
            except Exception as error:
                ended = error
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if not isinstance(ended, StopIteration):
            raise ended
