"""The local AWS's one process: ministack's ASGI application with our SageMaker service, on an inherited socket.

Started by local_aws.cloud, which also sets the environment. Holds the lock on `<home>/aws.pid` until it ends.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from local_aws import connections, log_file, pauses, state
from local_aws.ministack_adapter import iam
from local_aws.ministack_adapter.install import install
from local_aws.process_reaper import ProcessReaper
from local_aws.sagemaker.api.service import SageMaker
from local_aws.sagemaker.host import Host

CLOSING_SECONDS = 5.0
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def main() -> None:
    """Serve until SIGTERM, SIGINT or, with --owned, until the owner closes our standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--owned", action="store_true")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    lock = hold(arguments.home)
    pauses.shorten()
    log_file.keep_short(arguments.home / "aws.log")
    sweep(arguments.home, keep=arguments.keep)
    Path(os.environ["TMPDIR"]).mkdir()
    service = SageMaker(Host(arguments.home, ProcessReaper(held_files=(lock,)), iam.access(arguments.home)))
    application, kept = install(service)
    keeper = None
    if arguments.keep:
        file = state.path(arguments.home)
        try:
            kept.recall(file)
        except state.StateError as error:
            os.write(arguments.ready, str(error).encode())
            sys.exit(1)
        keeper = state.Keeper(file, kept.text, kept.forget_old_code)
        application = keeper.watch(application)

    def resume() -> None:
        service.resume()
        kept.end_executions()
        if keeper:
            keeper.start()

    def close() -> None:
        if keeper:
            keeper.close()
        service.close()

    asyncio.run(_serve(announce(application, arguments.ready, resume), close, arguments))
    logging.shutdown()
    # Step Functions runs timed tasks in threads that Python would wait for; a stopped server does not.
    watchdog = threading.Timer(CLOSING_SECONDS, os._exit, [0])
    watchdog.daemon = True
    watchdog.start()


def hold(home: Path) -> int:
    """Lock `<home>/aws.pid` until this process ends and write its pid and port; exits when another process holds it."""
    descriptor = os.open(home / "aws.pid", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another local AWS is using {home}; stop it or choose another --home")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"pid": os.getpid(), "port": int(os.environ["GATEWAY_PORT"])}).encode())
    return descriptor


def sweep(home: Path, *, keep: bool) -> None:
    """Delete what an earlier server of this home left: all, or, if it shall be kept, what no state file speaks of."""
    left = ["jobs", "endpoints", "tmp", "s3/.parts"]
    if not (keep and state.path(home).exists()):
        left += ["s3", state.FOLDER]
    for name in left:
        shutil.rmtree(home / name, ignore_errors=True)


def announce(application: Application, ready: int, resume: Callable[[], None]) -> Application:
    """Wrap the application so that, once it has started and `resume` has returned, `ready` gets one line."""

    def begin() -> None:
        try:
            resume()
            os.write(ready, state.READY)
        finally:
            os.close(ready)

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def started(message: dict[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                threading.Thread(target=begin, name="resume", daemon=True).start()

        async def answered(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [(connections.Name(name), value) for name, value in message["headers"]],
                }
            await send(message)

        if scope["type"] == "http" and b"x-forwarded-proto" not in dict(scope["headers"]):
            # No TLS on the loopback interface; policies see TLS.
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await application(scope, receive, started if scope["type"] == "lifespan" else answered)

    return wrapped


async def _serve(application: Application, close: Callable[[], None], arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    connections.install(loop)
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if arguments.owned:
        threading.Thread(target=_await_owner, args=(loop, asked), daemon=True).start()

    server = _Server(
        uvicorn.Config(
            application,
            http=connections.Connection,
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=86_400,
            timeout_graceful_shutdown=1,
        )
    )

    async def stop() -> None:
        await asked.wait()
        await asyncio.to_thread(close)
        server.should_exit = True

    stopping = asyncio.create_task(stop())
    await server.serve([socket.socket(fileno=arguments.socket)])
    await stopping


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`: a service ends before its clients' connections do."""
        yield


def _await_owner(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    while os.read(0, 1):
        continue
    loop.call_soon_threadsafe(asked.set)


if __name__ == "__main__":
    main()
