"""The model server over HTTP: batches beside single rows."""

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from local_aws.linear_learner import artifact
from sklearn.datasets import load_breast_cancer

from bench import machine
from bench.figures import Figure
from bench.process import PROJECT, in_turn, spread, timed
from bench.training import train_on

ROWS, BATCHES = 1000, 10
STARTING = "starting Python with nothing imported"


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
    apart = spread(*(list(map(median, measured)) for measured in seconds.values()))
    parse = 1e6 * machine.parse_speed(folder) / len("\n".join(rows)) * ROWS
    limit = "parsing of CSV, all cores"
    yield Figure(
        f"{ROWS} rows in one request", ROWS / batch, "rows/s", one, 1 / each, "ratio >= 50", limit, parse, apart
    )
    slowest = 1e3 * float(np.percentile(np.concatenate(seconds["single"]), 99))
    yield Figure("one-row request, 99th percentile", slowest, "ms", goal="value < 1", limit="a wake-up of each side")
    start = machine.python_start()
    yield Figure("model server, start to first ping", up, "s", goal="value < 0.2", limit=STARTING, limit_value=start)


def export(model: artifact.Model, path: Path) -> None:
    """Write the model in the format that the baselines read."""
    np.savez(path, weights=model.weights, bias=model.bias, threshold=np.float64(model.threshold or 0.5))


def _post(client: http.client.HTTPConnection, body: str) -> None:
    client.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "application/jsonlines"})
    answer = client.getresponse()
    lines = answer.read().splitlines()
    assert answer.status == 200
    assert b"predicted_label" in lines[0]
