"""One-row posts to the model server and to FastAPI behind uvicorn: the same model, client and connections.

The server has one core and the client another; connections wait for each other's answers (closed loop), so that what
is measured is the work of the server.
"""

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.datasets import load_breast_cancer

from bench.figure import Figure
from bench.process import YARDSTICKS, BenchError, start
from bench.wdbc import train
from local.linear_learner import artifact

CONNECTIONS = 4
START_SECONDS = 30.0
OTHER = "FastAPI and uvicorn, one worker"


def measure(folder: Path, rounds: int, requests: int) -> Iterator[Figure]:
    """Requests a second and latency, the servers taking turns.

    Args:
        folder: For the model.
        rounds: Turns of each server.
        requests: Of one connection in a turn.
    """
    features, labels = load_breast_cancer(return_X_y=True)
    root = folder / "endpoint"
    train(root, features, labels)
    export(artifact.read(root / "model"), root / "model.npz")
    body = json.dumps({"instances": [{"features": features[0].tolist()}]}).encode()
    ours, other = _free_port(), _free_port()
    commands = {
        ours: [sys.executable, "-m", "local.linear_learner", "serve", "--root", str(root), "--port", str(ours)],
        other: [YARDSTICKS, "-m", "uvicorn", "bench.yardsticks.app:app", "--port", str(other), "--no-access-log"],
    }
    rates: dict[int, list[float]] = {ours: [], other: []}
    with _serving(commands[ours], ours, {}), _serving(commands[other], other, {"MODEL": str(root / "model.npz")}):
        answers = {port: _answer(port, body) for port in commands}
        if not np.isclose(answers[ours]["score"], answers[other]["score"], rtol=1e-5):
            raise BenchError(f"not the same answer: {answers}")
        for _ in range(rounds):
            for port in commands:
                rates[port].append(_rate(port, body, requests))
    rate, its = median(rates[ours]), median(rates[other])
    yield Figure("one-row posts at the endpoint", rate, "requests/s", OTHER, its, "ratio >= 1.0",
                 "the server's Python, one core")  # fmt: skip


def export(model: artifact.Model, path: Path) -> None:
    """The model as the yardsticks read it."""
    np.savez(path, weights=model.weights, bias=model.bias, threshold=np.float64(model.threshold or 0.5))


@contextmanager
def _serving(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    program = start(*command, core=0, environment=environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise BenchError(f"{' '.join(command)} did not come up in {START_SECONDS:g} s")
        yield
    finally:
        program.kill()


def _answer(port: int, body: bytes) -> dict[str, float]:
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    document = json.load(answer)
    client.close()
    if answer.status != 200:
        raise BenchError(f"answered {answer.status}: {document}")
    found: dict[str, float] = document["predictions"][0]
    return found


def _rate(port: int, body: bytes, requests: int) -> float:
    """Requests a second over all connections, by a client that does as little as it can."""
    head = ("POST /invocations HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
            f"Content-Length: {len(body)}", "", "")  # fmt: skip
    message = "\r\n".join(head).encode() + body
    before = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    try:
        if len(before) > 1:
            os.sched_setaffinity(0, before - {0})
        for turn in range(requests + 1):
            if turn == 1:  # the first one warms up
                started = time.perf_counter()
            for connection in connections:
                connection.sendall(message)
            for connection in connections:
                _receive(connection)
        return requests * CONNECTIONS / (time.perf_counter() - started)
    finally:
        if before:
            os.sched_setaffinity(0, before)
        for connection in connections:
            connection.close()


def _receive(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := connection.recv(1 << 16)):
            raise BenchError("the server closed a connection")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    status, lowered = head[9:12], head.lower()
    if status != b"200":
        raise BenchError(f"answered {head.decode()}")
    length = int(lowered.partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(1 << 16)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
