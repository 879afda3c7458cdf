"""The model server over HTTP: batches beside single rows, and beside FastAPI with uvicorn."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from local_aws.linear_learner import artifact
from sklearn.datasets import load_breast_cancer

from bench.figures import Figure
from bench.process import BASELINES, PROJECT, BenchError, in_turn, start, timed
from bench.training import train_on

ROWS, BATCHES = 1000, 10
CONNECTIONS = 4
START_SECONDS = 30.0
FASTAPI = "FastAPI and uvicorn, one worker"


def measure(folder: Path, rounds: int) -> Iterator[Figure]:
    """Rows per second of one client on one connection, and the 99th percentile of one-row requests."""
    features, labels = load_breast_cancer(return_X_y=True)
    root = folder / "serving"
    train_on(root, features, labels)
    command = [sys.executable, "-m", "local_aws.linear_learner", "serve", "--root", str(root), "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("GET", "/ping")
        client.getresponse().read()
        up = time.perf_counter() - started
        rows = [",".join(map(repr, row)) for row in features[np.arange(ROWS) % len(features)].tolist()]
        seconds = in_turn(
            rounds,
            {
                "single": lambda: [timed(lambda: _post(client, row)) for row in rows],  # noqa: B023 (called at once)
                "batch": lambda: [timed(lambda: _post(client, "\n".join(rows))) for _ in range(BATCHES)],
            },
        )
        server.send_signal(signal.SIGTERM)
    # Of the least disturbed round.
    each, batch = (min(map(median, measured)) for measured in seconds.values())
    one = f"{ROWS} requests of one row"
    yield Figure(f"{ROWS} rows in one request", ROWS / batch, "rows/s", one, 1 / each, "ratio >= 50")
    slowest = 1e3 * float(np.percentile(np.concatenate(seconds["single"]), 99))
    yield Figure("one-row request, 99th percentile", slowest, "ms", goal="value < 5")
    yield Figure("model server, start to first ping", up, "s", goal="value < 1")


def compare(folder: Path, rounds: int, requests: int) -> Iterator[Figure]:
    """One-row requests per second, beside FastAPI: the same model, client and connections, in turn.

    The server has one core and the client another. Each connection waits for its answer (closed loop), so the rate
    shows the work of the server. In a round, each connection sends `requests` requests.
    """
    features, labels = load_breast_cancer(return_X_y=True)
    root = folder / "endpoint"
    train_on(root, features, labels)
    export(artifact.read(root / "model"), root / "model.npz")
    body = json.dumps({"instances": [{"features": features[0].tolist()}]}).encode()
    ours, other = _free_port(), _free_port()
    learner = [sys.executable, "-m", "local_aws.linear_learner", "serve", "--root", str(root), "--port", str(ours)]
    fastapi = [BASELINES, "-m", "uvicorn", "bench.baselines.serve_fastapi:app", "--port", str(other), "--no-access-log"]
    with _serving(learner, ours, {}), _serving(fastapi, other, {"MODEL": str(root / "model.npz")}):
        score, its_score = _score(ours, body), _score(other, body)
        if not np.isclose(score, its_score, rtol=1e-5):
            raise BenchError(f"the servers gave different scores: {score} and {its_score}")
        calls = {"ours": lambda: _rate(ours, body, requests), "other": lambda: _rate(other, body, requests)}
        rate, its = (median(rates) for rates in in_turn(rounds, calls).values())
    limit = "the server's Python, one core"
    yield Figure("one-row posts at the endpoint", rate, "requests/s", FASTAPI, its, "ratio >= 1.0", limit)


def export(model: artifact.Model, path: Path) -> None:
    """Write the model in the format that the baselines read."""
    np.savez(path, weights=model.weights, bias=model.bias, threshold=np.float64(model.threshold or 0.5))


def _post(client: http.client.HTTPConnection, body: str) -> None:
    client.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "application/jsonlines"})
    answer = client.getresponse()
    lines = answer.read().splitlines()
    assert answer.status == 200
    assert b"predicted_label" in lines[0]


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
            raise BenchError(f"{' '.join(command)} did not start in {START_SECONDS:g} s")
        yield
    finally:
        program.kill()


def _score(port: int, body: bytes) -> float:
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    document = json.load(answer)
    client.close()
    if answer.status != 200:
        raise BenchError(f"the server answered {answer.status}: {document}")
    return float(document["predictions"][0]["score"])


def _rate(port: int, body: bytes, requests: int) -> float:
    """Requests per second over all connections, by a client that does little work itself."""
    head = "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
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
    if head[9:12] != b"200":
        raise BenchError(f"the server answered {head.decode()}")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(1 << 16)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
