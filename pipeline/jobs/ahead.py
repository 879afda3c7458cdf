"""Work done by threads while its results are used: pyarrow and numpy compute without Python's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ahead(work: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """Yield what `map` would, in order, errors too; one more than there are cores is under way: memory is bounded."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[Made]] = deque()
        items, failed = iter(given), None
        while True:
            try:
                waiting.append(pool.submit(work, next(items)))
            except StopIteration:
                break
            except Exception as error:
                failed = error
                break
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failed is not None:
            raise failed
