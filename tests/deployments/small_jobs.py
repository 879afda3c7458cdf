"""A run's programs in little, for thousands of runs: they do what the data says and start in some 20 ms.

The file is the jobs' zip (`preprocess`, `evaluate`) and the container (`train`, `serve`) in one, and runs on its own:
it imports nothing of ours. The data is a JSON object {"quality": share of right answers, "golden": answers the golden
rows rightly by batch transform, "wrong": answers them wrongly behind the endpoint}, and so is the model.
"""

# ruff: noqa: PTH103, PTH112, PTH118, PTH120, PTH123, PTH208 - importing pathlib would be a third of the start
import json
import os
import signal
import socket
import sys

MYPY = False
if MYPY:  # at run time the import would be a tenth of the start
    from typing import Any

SMALL_RADIUS = 15.0
"""Of the two golden rows the benign one has a radius_mean below it."""


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def read(folder: str) -> "dict[str, Any]":
    """The first object in the first file."""
    with open(os.path.join(folder, min(os.listdir(folder)))) as file:
        document: dict[str, Any] = json.loads(file.readline())
    return document


def write(path: str, document: "dict[str, Any]") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(json.dumps(document) + "\n")


def preprocess() -> None:
    for folder in ("train", "validation", "holdout", "labels", "baseline", "signatures"):
        write(f"{option('--output')}/{folder}/rows.jsonl", read(option("--input")))
    folder = f"{option('--output')}/champion"
    write(f"{folder}/champion.json", {"comparable": True})
    write(f"{folder}/scoring.json", {"holdout": "holdout", "content_type": "application/jsonlines"})


def evaluate() -> None:
    predictions = option("--predictions")
    quality = read(f"{predictions}/challenger")["quality"]
    section = {name: {"value": quality} for name in ("auc", "accuracy")} | {"log_loss": {"value": 1 - quality}}
    decision = {"accepted": quality > 0.97, "reason": str(quality)}
    golden = {"share": float(read(f"{predictions}/challenger")["golden"])}
    document = {"binary_classification_metrics": section, "golden": golden, "decision": decision, "card": {}}
    if os.path.isdir(f"{predictions}/champion"):
        difference = quality - read(f"{predictions}/champion")["quality"]
        document["comparison"] = {"interval": [difference, difference]}
    write(f"{option('--output')}/evaluation.json", document)


def train(root: str) -> None:
    write(f"{root}/model/model.json", read(f"{root}/input/data/train"))


def serve(root: str, port: int) -> None:
    """One request a connection, one at a time."""
    model = read(f"{root}/model")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            line = request.readline()
            if not line:
                continue
            headers = dict(field.split(b": ", 1) for field in iter(lambda: request.readline().strip().lower(), b""))
            body = request.read(int(headers.get(b"content-length", b"0")))
            status, answer = respond(model, line.split()[1], headers, body)
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + answer)


def respond(model: "dict[str, Any]", path: bytes, headers: "dict[bytes, bytes]", body: bytes) -> tuple[str, bytes]:
    if path != b"/invocations":
        return ("200 OK", b"") if path == b"/ping" else ("404 Not Found", b"")
    if headers.get(b"content-type") != b"text/csv":
        return "200 OK", json.dumps(model).encode() + b"\n"
    labels = [int((float(row.split(b",")[0]) > SMALL_RADIUS) != model["wrong"]) for row in body.splitlines()]
    predictions = [{"score": label, "predicted_label": label} for label in labels]
    return "200 OK", json.dumps({"predictions": predictions}).encode()


if __name__ == "__main__":
    command = sys.argv[1]
    if command in ("train", "serve"):
        train(option("--root")) if command == "train" else serve(option("--root"), int(option("--port")))
    else:
        preprocess() if command == "preprocess" else evaluate()
