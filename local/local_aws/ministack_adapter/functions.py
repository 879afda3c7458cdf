"""Lambda: few cold starts at once, and a limit of concurrent calls that is waited for before a call is refused.

A call in flight is answered when its function is updated or deleted. Every idle worker ends after some minutes.
"""

import hmac
import importlib
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from local_aws.ministack_adapter import wrap
from local_aws.sagemaker.host import PASSED_ON

LAMBDA, RUNTIME = "ministack.services.lambda_svc", "ministack.core.lambda_runtime"
GIVEN = (*PASSED_ON, "AWS_ENDPOINT_URL")
WAIT_SECONDS = 3.0
"""A call above the account's limit gets 429 after this time. It must end: a function may call itself."""
STARTS = max(1, (os.cpu_count() or 1) // 2)
"""So many workers start at once: half of the cores, for the other half answers calls meanwhile."""
NONE_NEW = -1
"""A number of workers at which ministack gives an idle one only."""


def install() -> None:
    """Put the wrappers in."""
    starts, endings, slots = _ColdStarts(STARTS), _Endings(), Slots()
    wrap(LAMBDA, {"acquire_worker": starts.acquire, "release_worker": starts.release})
    wrap(LAMBDA, {"acquire_worker": endings.acquire, "release_worker": endings.release})
    wrap(RUNTIME, {"kill_workers": endings.kill})
    wrap(LAMBDA, {"reap_idle_workers": end_idle})
    wrap(LAMBDA, {"_acquire_execution_slot": slots.acquire, "_release_execution_slot": slots.release})
    runtime: Any = importlib.import_module(RUNTIME)
    runtime.Worker._spawn = starts.ending(runtime.Worker._spawn)
    # A worker starts with what ministack takes for its own environment, and the function's variables.
    given = {name: os.environ[name] for name in GIVEN if name in os.environ}
    runtime.os = SimpleNamespace(**{**vars(os), "environ": given})
    # ministack derives a function's credentials from its ARN, so that anyone could.
    runtime.hashlib = SimpleNamespace(sha256=partial(hmac.new, secrets.token_bytes(32), digestmod="sha256"))


def end_idle(original: Callable[[], int]) -> int:
    """The number of workers that ended, for each was idle for LAMBDA_WARM_TTL_SECONDS.

    ministack keeps the first worker of each function for ever. AWS ends it too, and here each holds 40 MB.
    """
    runtime: Any = importlib.import_module(RUNTIME)
    oldest = time.time() - runtime._LOCAL_WORKER_TTL
    with runtime._lock:
        pools = runtime._workers
        idle = [worker for pool in pools.values() for worker in pool if not worker.in_use and worker.last_used < oldest]
        for pool in pools.values():
            pool[:] = [worker for worker in pool if worker not in idle]
    runtime.kill_workers(idle)
    return len(idle) + original()


class _ColdStarts:
    """Only some workers start at once; a call waits for one of these or for an idle worker."""

    def __init__(self, at_once: int) -> None:
        self._free, self._changed = at_once, threading.Condition()

    def acquire(self, original: Any, *function: Any, **more: Any) -> Any:
        """A worker and how it was found, as ministack has it."""
        with self._changed:
            while True:
                found = original(*function, **{**more, "max_concurrency": NONE_NEW})
                if found[0] is not None:
                    return found
                if self._free:
                    break
                self._changed.wait()
            worker, how = original(*function, **more)
            self._free -= 1
            worker.starting = True
            return worker, how

    def release(self, original: Any, worker: Any) -> None:
        """An idle worker may be waited for."""
        original(worker)
        self._started(worker)  # at the latest

    def ending(self, spawn: Any) -> Any:
        """The start of a worker's process, after which another one may start."""

        def spawned(worker: Any) -> None:
            try:
                spawn(worker)
            finally:
                self._started(worker)

        return spawned

    def _started(self, worker: Any) -> None:
        with self._changed:
            if getattr(worker, "starting", False):
                worker.starting = False
                self._free += 1
            self._changed.notify_all()


class _Endings:
    """A worker in use ends after its call; ministack ends it at once when the function is updated or deleted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, original: Any, *function: Any, **more: Any) -> Any:
        """A worker, and how it was found."""
        worker, how = original(*function, **more)
        worker.caller, worker.ends = threading.get_ident(), False
        return worker, how

    def kill(self, original: Any, workers: Any) -> None:
        """End the idle workers now, and those of other callers once they are released."""
        with self._lock:
            in_use = [worker for worker in workers if worker.in_use and worker.caller != threading.get_ident()]
            for worker in in_use:
                worker.ends = True
        original([worker for worker in workers if worker not in in_use])

    def release(self, original: Any, worker: Any) -> None:
        """The end of a call."""
        original(worker)
        with self._lock:
            ends = worker is not None and worker.ends
        if ends:
            worker.kill()


class Slots:
    """The account's concurrent calls; who has waited longest is next, so that a crowd does not starve one call."""

    def __init__(self) -> None:
        self._lock, self._waiting = threading.Lock(), deque[threading.Event]()

    def acquire(self, original: Any, *function: Any) -> Any:
        """A slot, or the limit that leaves none."""
        deadline, turn = time.monotonic() + WAIT_SECONDS, threading.Event()
        with self._lock:
            self._waiting.append(turn)
        try:
            while True:
                with self._lock:
                    over = time.monotonic() >= deadline
                    if over or self._waiting[0] is turn:
                        found = original(*function)
                        if over or found[1] != "account":
                            return found
                    turn.clear()
                turn.wait(max(0.0, deadline - time.monotonic()))
        finally:
            with self._lock:
                self._waiting.remove(turn)
                self._call_next()

    def release(self, original: Any, slot: Any) -> None:
        """The next one that waits may try."""
        original(slot)
        with self._lock:
            self._call_next()

    def _call_next(self) -> None:
        if self._waiting:
            self._waiting[0].set()
