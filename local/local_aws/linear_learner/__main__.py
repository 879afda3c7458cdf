"""`python -m local_aws.linear_learner train --root DIR` and `serve --root DIR --port N`; DIR is laid out as /opt/ml."""

import argparse
import os
import sys
from pathlib import Path

# The products are small: a second BLAS thread costs more than it brings, and batches are read beside them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_aws.linear_learner")
    parser.add_argument("command", choices=("train", "serve"))
    parser.add_argument("--root", type=Path, default=Path("/opt/ml"), help="the folder laid out as /opt/ml")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    if arguments.command == "train":
        from local_aws.linear_learner.train import run  # noqa: PLC0415 (each command loads only what it needs)

        return run(arguments.root)
    from local_aws.linear_learner.serve import serve  # noqa: PLC0415

    return serve(arguments.root, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
