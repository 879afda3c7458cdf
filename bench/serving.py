"""The model server over HTTP on this machine, one client on one kept connection."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.datasets import load_breast_cancer

from bench.figure import Figure
from bench.process import PROJECT
from bench.wdbc import train

ROWS = 1000
BATCHES = 10


def measure(folder: Path, rounds: int) -> Iterator[Figure]:
    """Rows a second, many in a request against one in a request, and the slowest of a hundred one-row requests."""
    features, labels = load_breast_cancer(return_X_y=True)
    root = folder / "serving"
    train(root, features, labels)
    command = [sys.executable, "-m", "local.linear_learner", "serve", "--root", str(root), "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("GET", "/ping")
        client.getresponse().read()
        up = time.perf_counter() - started
        rows = [",".join(map(repr, row)) for row in features[np.arange(ROWS) % len(features)].tolist()]
        single, batch = list[list[float]](), list[list[float]]()
        for _ in range(rounds):
            single.append([_seconds(client, row) for row in rows])
            batch.append([_seconds(client, "\n".join(rows)) for _ in range(BATCHES)])
        server.send_signal(signal.SIGTERM)
    one = f"{ROWS} requests of one row"
    # Of the least disturbed round.
    many, each = (min(map(median, measured)) for measured in (batch, single))
    yield Figure(f"{ROWS} rows in one request", ROWS / many, "rows/s", one, 1 / each, "ratio >= 50")
    slowest = 1e3 * float(np.percentile(np.concatenate(single), 99))
    yield Figure("one-row request, 99th percentile", slowest, "ms", "", None, "value < 5")
    yield Figure("model server, start to first ping", up, "s", "", None, "value < 1")


def _seconds(client: http.client.HTTPConnection, body: str) -> float:
    started = time.perf_counter()
    client.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "application/jsonlines"})
    answer = client.getresponse()
    lines = answer.read().splitlines()
    taken = time.perf_counter() - started
    assert answer.status == 200
    assert "predicted_label" in json.loads(lines[0])
    return taken
