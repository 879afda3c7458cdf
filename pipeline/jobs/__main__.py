"""The programs that run inside SageMaker jobs: `python3 jobs.zip COMMAND …`, or this folder by its name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import drift
import evaluate
import merge
import preprocess
from heap import large_arrays_apart
from problems import JobError

MESSAGE_BYTES = 1024
"""The first 1 KB of /opt/ml/output/message becomes the job's ExitMessage (Developer Guide, "Build your own processing
container")."""


def main(arguments: list[str] | None = None) -> int:
    """Run one program; return 0, or 1 after saying what is wrong on stderr and in the message file."""
    chosen = _parser().parse_args(arguments)
    large_arrays_apart()
    try:
        if chosen.command == "preprocess":
            preprocess.run(chosen.settings, chosen.input, chosen.output, chosen.resources)
        elif chosen.command == "merge":
            merge.run(chosen.settings, chosen.run, chosen.output)
        elif chosen.command == "drift":
            drift.run(
                chosen.settings,
                captured=chosen.data_capture,
                window=chosen.window,
                baseline=chosen.baseline,
                evaluation=chosen.evaluation,
                output=chosen.output,
            )
        else:
            champion = chosen.predictions / "champion"
            evaluate.run(chosen.settings, chosen.predictions / "challenger", chosen.labels, chosen.output, champion if champion.is_dir() and any(champion.iterdir()) else None)
    except JobError as error:
        _tell(str(error), chosen.message)
        return 1
    except Exception as error:
        _tell(f"{chosen.command} failed, {type(error).__name__}: {error}", chosen.message)
        raise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--settings", type=Path, required=True, help="settings JSON, or a directory holding it alone")
    shared.add_argument("--output", type=Path, required=True, help="directory to write to")
    shared.add_argument("--message", type=Path, help="file for the one-line message when something is wrong")
    preparing = commands.add_parser("preprocess", parents=[shared], help="check and split the data")
    preparing.add_argument("--input", type=Path, required=True, help="directory with CSV or Parquet files")
    preparing.add_argument("--resources", type=Path, help="resourceconfig.json, when this is one of several instances")
    merging = commands.add_parser("merge", parents=[shared], help="make one result of those of several instances")
    merging.add_argument("--run", type=Path, required=True, help="directory with what preprocess wrote on every one")
    evaluating = commands.add_parser("evaluate", parents=[shared], help="measure predictions against labels")
    evaluating.add_argument("--predictions", type=Path, required=True, help="directory with the transform's .out files")
    evaluating.add_argument("--labels", type=Path, required=True, help="directory with labels .jsonl files")
    evaluating.add_argument("--champion", type=Path, help="the champion's predictions of the same rows, to compare")
    drifting = commands.add_parser("drift", parents=[shared], help="compare captured requests with the baseline")
    for name, what in (
        ("data-capture", "the endpoint's data capture"),
        ("window", "window.json and truth.csv"),
        ("baseline", "baseline.json of the live model's run"),
        ("evaluation", "profile.json of the live model's run"),
    ):
        drifting.add_argument(f"--{name}", type=Path, required=True, help=f"directory with {what}")
    return parser


def _tell(message: str, file: Path | None) -> None:
    line = " ".join(message.split())
    print(line, file=sys.stderr)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line.encode("utf-8")[:MESSAGE_BYTES].decode("utf-8", "ignore"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
