"""The command of a container's own program: `train --root DIR` and `serve --root DIR --port N`."""

import argparse
import importlib
from pathlib import Path


def main(package: str) -> int:
    """Run the package's `train.run(root)` or `serve.serve(root, port)`; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("command", choices=("train", "serve"))
    parser.add_argument("--root", type=Path, default=Path("/opt/ml"), help="the folder laid out as /opt/ml")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    module = importlib.import_module(f"{package}.{given.command}")  # each command loads only what it needs
    return int(module.run(given.root) if given.command == "train" else module.serve(given.root, given.port))
