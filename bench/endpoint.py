"""The model servers of an endpoint beside FastAPI with uvicorn: of numbers, and of named rows in two containers."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from shutil import copy
from statistics import median

import numpy as np
import pandas as pd
from local_aws.linear_learner import artifact
from sklearn.datasets import load_breast_cancer

from bench.columns import PENGUIN_NUMBERS, PENGUIN_WORDS, PENGUINS
from bench.figures import Figure
from bench.process import BASELINES, PROJECT, BenchError, in_turn, spread, start
from bench.serving import export
from bench.training import train_on
from pipeline.jobs.shared import encoder

CONNECTIONS, START_SECONDS = 4, 30.0
FASTAPI = "FastAPI and uvicorn, one worker"
COLUMNS = "FastAPI, ColumnTransformer and LogisticRegression"
LIMIT = "Python's sockets, one core, nothing computed"
TABLE = PROJECT / "examples/penguins/penguins.csv"
JSON, CSV = "application/json", "text/csv"
Connections = list[socket.socket]


def measure(folder: Path, rounds: int, requests: int) -> Iterator[Figure]:
    """One-row requests per second, beside FastAPI: the same model or table, client and connections, in turn.

    The servers have one core and the client another. Each connection waits for its answer (closed loop), so the rate
    shows the work of the servers. In a round, each connection sends `requests` requests.

    Raises BenchError: a server predicts something else than the others.
    """
    with ExitStack() as stack:
        serve = partial(_serve, stack)
        nothing = serve({}, "-m", "bench.baselines.serve_nothing")
        features, labels = load_breast_cancer(return_X_y=True)
        root = folder / "endpoint"
        train_on(root, features, labels)
        export(artifact.read(root / "model"), root / "model.npz")
        ours = serve({}, "-m", "local_aws.linear_learner", "serve", "--root", str(root), "--port")
        other = serve({"MODEL": str(root / "model.npz")}, *_uvicorn("serve_fastapi"), python=BASELINES)
        row = json.dumps({"instances": [{"features": features[0].tolist()}]}).encode()
        score, its_score = (_scored([port], row, JSON)["score"] for port in (ours, other))
        if not np.isclose(score, its_score, rtol=1e-5):
            raise BenchError(f"the servers gave different scores: {score} and {its_score}")
        encode, learn = _containers(folder / "pipeline", serve)
        named = serve({"TABLE": str(TABLE)}, *_uvicorn("serve_fastapi_columns"), python=BASELINES)
        table = pd.read_csv(TABLE)
        row_as_csv, named_row = (_first(table, media) for media in (CSV, JSON))
        found = {
            _scored([encode, learn], row_as_csv, CSV)["predicted_label"],
            _scored([named], named_row, JSON)["predicted_label"],
        }
        if found != {int(table["species"][0] == PENGUINS)}:
            raise BenchError(f"the servers of named rows predict {found}")
        turns = in_turn(
            rounds,
            {
                "nothing": lambda: _rate([nothing], row, JSON, requests),
                "ours": lambda: _rate([ours], row, JSON, requests),
                "other": lambda: _rate([other], row, JSON, requests),
                "pipeline": lambda: _rate([encode, learn], row_as_csv, CSV, requests // 2),
                "columns": lambda: _rate([named], named_row, JSON, requests // 5),
            },
        )
    rate = {name: median(rates) for name, rates in turns.items()}
    unit, most = "requests/s", rate["nothing"]
    name, apart = "one-row posts at the endpoint", spread(turns["ours"], turns["other"])
    yield Figure(name, rate["ours"], unit, FASTAPI, rate["other"], "ratio >= 1.3", LIMIT, most, apart)
    name, apart = "one named row, encoder and learner", spread(turns["pipeline"], turns["columns"])
    yield Figure(name, rate["pipeline"], unit, COLUMNS, rate["columns"], "ratio >= 1.5", LIMIT, most, apart)


def _containers(root: Path, serve: "partial[int]") -> tuple[int, int]:
    """The ports of the two containers of an inference pipeline, which learnt from TABLE."""
    table = pd.read_csv(TABLE)
    numbers = [encoder.Feature(name, "numeric", True, float(table[name].median())) for name in PENGUIN_NUMBERS]
    words = [
        encoder.Feature(name, "categorical", True, levels=tuple(sorted(table[name].dropna().unique())), other=True)
        for name in PENGUIN_WORDS
    ]
    learnt, text = (
        encoder.Encoder((*numbers, *words)),
        table[PENGUIN_NUMBERS + PENGUIN_WORDS].to_csv(index=False, header=False),
    )
    rows = learnt.encode(learnt.read(text.encode()))
    train_on(root / "learner", rows, (table["species"] == PENGUINS).to_numpy().astype(np.int64))
    for name in ("model", "code"):
        (root / "encoder" / name).mkdir(parents=True)
    copy(encoder.__file__, root / "encoder/code/encoder.py")
    (root / "encoder/model/encoder.json").write_text(learnt.to_json())
    script = {"SAGEMAKER_PROGRAM": "encoder.py"}
    encode = serve(script, "-m", "local_aws.scikit_learn", "serve", "--root", str(root / "encoder"), "--port")
    return encode, serve({}, "-m", "local_aws.linear_learner", "serve", "--root", str(root / "learner"), "--port")


def _first(table: pd.DataFrame, media: str) -> bytes:
    """The first row as the body of a request."""
    row = table[PENGUIN_NUMBERS + PENGUIN_WORDS][:1]
    if media == CSV:
        return row.to_csv(index=False, header=False).encode()
    return json.dumps({"instances": json.loads(row.to_json(orient="records"))}).encode()


def _uvicorn(app: str) -> tuple[str, ...]:
    return "-m", "uvicorn", f"bench.baselines.{app}:app", "--no-access-log", "--port"


def _serve(stack: ExitStack, environment: dict[str, str], *command: str, python: str = sys.executable) -> int:
    """Start a server, whose last argument is its port, until `stack` closes; returns the port."""
    port = _free_port()
    stack.enter_context(_serving([python, *command, str(port)], port, environment))
    return port


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


def _scored(ports: Sequence[int], body: bytes, media: str) -> dict[str, float]:
    """The prediction of one row."""
    hops = [[socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)] for port in ports]
    answer, *_ = _exchange(hops, body, media)
    for connection in (connection for hop in hops for connection in hop):
        connection.close()
    predictions: list[dict[str, float]] = json.loads(answer)["predictions"]
    return predictions[0]


def _rate(ports: Sequence[int], body: bytes, media: str, requests: int) -> float:
    """Requests per second over all connections, by a client that does little work itself.

    The answer of each server is the request to the next, as between the containers of an endpoint.
    """
    before = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    hops = [[socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)] for port in ports]
    try:
        if len(before) > 1:
            os.sched_setaffinity(0, before - {0})
        _exchange(hops, body, media)  # warms up
        started = time.perf_counter()
        for _ in range(requests):
            _exchange(hops, body, media)
        return requests * CONNECTIONS / (time.perf_counter() - started)
    finally:
        if before:
            os.sched_setaffinity(0, before)
        for connection in (connection for hop in hops for connection in hop):
            connection.close()


def _exchange(hops: list[Connections], body: bytes, media: str) -> list[bytes]:
    """Send the body on each connection, then the answers to the next server; returns the last server's answers."""
    bodies = [body] * CONNECTIONS
    for connections in hops:
        for connection, content in zip(connections, bodies, strict=True):
            head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\n"
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        bodies = [_receive(connection) for connection in connections]
    return bodies


def _receive(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := connection.recv(1 << 16)):
            raise BenchError("the server closed a connection")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    if head[9:12] != b"200":
        raise BenchError(f"the server answered {head.decode()}: {rest.decode()}")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(1 << 16)
    return rest


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
