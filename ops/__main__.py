"""Run the pipeline: against AWS, or the local AWS when AWS_ENDPOINT_URL names it.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 rejected (a run rejected or superseded, drift found), 4 nothing to
do or to show. `--json` (not of `console`) prints one JSON document, also for an error. `--install-completion` completes
commands by Tab.
"""

import json
import sys
from collections.abc import Callable

import typer

from ops.account import FAILURES, OF_AWS, NothingToDo
from ops.bootstrap import bootstrap
from ops.check import check
from ops.console.server import console
from ops.data import data, upload
from ops.destroy import destroy
from ops.diff import diff
from ops.doctor import doctor
from ops.drift import drift, feedback
from ops.init.command import init
from ops.jobs import logs
from ops.output import Exit, wants_json
from ops.plan import plan
from ops.predict import predict, url
from ops.report.page import report
from ops.retrain import approve, reject, retrain, rollback, watch
from ops.runs import runs
from ops.score import score
from ops.status import status

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
COMMANDS: list[Callable[..., None]] = [
    *(init, check, plan, upload, watch, retrain, status, runs, logs, report, diff, console, predict, url, score),
    *(approve, reject, rollback, drift, feedback, doctor, bootstrap, destroy),
]
for command in COMMANDS:
    app.command()(command)
app.add_typer(data, name="data")


def main() -> None:
    """Run a command; an error is one line on standard error (with --json also a document) and an exit code."""
    try:
        app(prog_name="ops")
    except FAILURES as error:
        if wants_json():
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        hint = "; `ops doctor` looks for the cause" if isinstance(error, OF_AWS) else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        raise SystemExit(Exit.NOTHING if isinstance(error, NothingToDo) else Exit.FAILED) from error


if __name__ == "__main__":
    main()
