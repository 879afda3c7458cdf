"""A container whose `train ROOT` and `serve ROOT PORT` follow the hyperparameters, the environment or the body."""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def train(root: Path) -> None:
    hyperparameters = json.loads((root / "input/config/hyperparameters.json").read_text())
    for name in sorted(path.relative_to(root).as_posix() for path in (root / "input").rglob("*") if path.is_file()):
        print(f"input {name}")
    print("#quality_metric: host=algo-1, validation binary_classification_accuracy <score>=0.5")
    print("#quality_metric: host=algo-1, validation binary_classification_accuracy <score>=0.975")
    print("#quality_metric: host=algo-1, validation binary_classification_accuracy <score>=no number, hence no metric")
    if "place" in hyperparameters:
        for epoch in range(1, 4):
            print(f"epoch={epoch} score={(1 - abs(float(hyperparameters['place']) - 0.25)) * epoch / 3}", flush=True)
            time.sleep(float(hyperparameters.get("pause", "0")))
    action = hyperparameters.get("action", "")
    if action == "fail":
        (root / "output/failure").write_text("ClientError: the data is no good" + "." * 2000)
        sys.exit(1)
    if action == "exit":
        sys.exit(int(hyperparameters["code"]))
    if action == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN) if "deaf" in hyperparameters else None
        print(f"hanging as {os.getpid()}")
        time.sleep(600)
    (root / "model/model.json").write_text(json.dumps({"label": hyperparameters.get("label", "none")}))


class Handler(BaseHTTPRequestHandler):
    label = ""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.reply(503 if os.environ.get("PING") == "never" else 200, b"")
        elif self.path == "/execution-parameters" and "PARAMETERS" in os.environ:
            self.reply(200, os.environ["PARAMETERS"].encode())
        else:
            self.reply(404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"bad" in body:
            self.reply(400, b"unable to evaluate payload provided")
        elif body == b"break" or "BROKEN" in os.environ:
            self.reply(500, b"Internal Server Error")
        elif body == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif body == b"fill":
            self.filled = bytearray(os.urandom(1)) * (int(os.environ["MEGABYTES"]) << 20)
            time.sleep(5)
            self.reply(200, b"filled")
        elif body == b"pid":
            self.reply(200, str(os.getpid()).encode())
        elif body == b"niceness":
            self.reply(200, str(os.nice(0)).encode())
        else:
            time.sleep(float(os.environ.get("DELAY", "0")))
            seen = f"({self.headers['Content-Type']}, {self.headers['Accept']})" if "SHOW" in os.environ else ""
            lines = [f"{self.label}:{line}{seen}".encode() for line in body.decode().splitlines()]
            self.reply(200, b"\n".join(lines))

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", os.environ.get("TYPE", self.headers.get("Accept", "text/plain")))
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", custom)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


def serve(root: Path, port: int) -> None:
    label = Handler.label = json.loads((root / "model/model.json").read_text())["label"]
    print(f"serving {label} as {os.getpid()}", flush=True)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    train(Path(sys.argv[2])) if sys.argv[1] == "train" else serve(Path(sys.argv[2]), int(sys.argv[3]))
