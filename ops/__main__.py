"""What a person types to run the pipeline: against AWS, or the local AWS when AWS_ENDPOINT_URL says so.

Exit codes: 0 done, 1 failed, 2 typed wrongly, 3 turned down (a run rejected or superseded, traffic that drifted), 4
nothing to do or to show. `--json` prints one JSON document, for a failure too. `--install-completion` completes
commands by Tab.
"""

import csv
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ops import destroy, looks, promote, runs, watch
from ops.account import FAILURES, Account, OpsError
from ops.feedback import feedback as truth
from ops.output import CONFIG, Config, Exit, Json, console, progress, show
from ops.predict import flat, golden_row, predict_all, rows_of
from ops.predict import predict as post
from ops.retrain import retrain as ask
from pipeline.config import ConfigError

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
for look in (looks.status, looks.runs, looks.logs, looks.report, looks.diff, looks.drift, looks.doctor, looks.console):
    app.command()(look)


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="A CSV with a header.")], config: Config = CONFIG, as_json: Json = False
) -> None:
    """Upload a CSV to the data bucket, which starts a run."""
    account = Account.of(config)
    if not file.is_file():
        raise OpsError(f"{file}: no such file")
    bucket, key = account.outputs["DataBucket"], f"{account.settings.data.prefix}{file.name}"
    with Progress(console=progress, transient=True, disable=not progress.is_terminal) as bar:
        task = bar.add_task(file.name, total=file.stat().st_size)
        account.s3.upload_file(str(file), bucket, key, Callback=lambda count: bar.advance(task, count))
    text = f"uploaded s3://{bucket}/{key}; `python -m ops watch` follows the run it starts"
    show({"uploaded": f"s3://{bucket}/{key}"}, text, as_json=as_json)


@app.command()
def retrain(
    force: Annotated[bool, typer.Option("--force", help="Run again on data and settings that had a run.")] = False,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Start a run now. Exit code: 0 started, 4 not started (nothing new, held back, no data), 1 failed."""
    answer = ask(Account.of(config), force=force)
    show(answer, f"{answer['result']}: {answer['detail']}", as_json=as_json)
    raise typer.Exit(Exit.OK if answer["result"] == "started" else Exit.NOTHING)


@app.command(name="watch")
def watch_(config: Config = CONFIG, as_json: Json = False) -> None:
    """Follow the run of the newest upload. Exit code: 0 accepted, 3 rejected or superseded, 1 failed."""
    account = Account.of(config)
    _followed(account, watch.newest_run(account, progress if as_json else console), as_json)


@app.command()
def predict(
    row: Annotated[str | None, typer.Argument(help="Numbers with commas; without it, the first golden row.")] = None,
    file: Annotated[str, typer.Option("--file", help="A CSV of rows, with a header or without; - is stdin.")] = "",
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Post a row through API Gateway and print the label; with --file, many rows, and print a CSV."""
    account = Account.of(config)
    if file:
        _predict_file(account, file, as_json)
        return
    label = post(account, row or golden_row(account))
    show({"prediction": label}, f"prediction: {label}", as_json=as_json)


def _predict_file(account: Account, file: str, as_json: bool) -> None:
    """The rows of a CSV to standard output as they are answered; progress goes to standard error."""
    data = account.settings.data
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(newline="", encoding="utf-8-sig") as lines:
            rows = rows_of(lines, data.features)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    out: csv.DictWriter[str] | None = None
    with Progress(console=progress, transient=True, disable=not progress.is_terminal) as bar:
        task = bar.add_task("predicting", total=len(rows))
        answers = predict_all(account, rows, lambda count: bar.advance(task, count))
        if as_json:
            show(list(answers), "", as_json=True)
            return
        for answer in answers:
            told = flat(answer, data.classes)
            if out is None:
                out = csv.DictWriter(sys.stdout, told, lineterminator="\n")
                out.writeheader()
            out.writerow(told)


@app.command()
def approve(config: Config = CONFIG, as_json: Json = False) -> None:
    """Let the model of the run that waits for approval go live."""
    package = promote.answer(Account.of(config), approved=True)
    show({"approved": package}, f"approved {package}", as_json=as_json)


@app.command()
def reject(config: Config = CONFIG, as_json: Json = False) -> None:
    """Turn down the model of the run that waits for approval."""
    package = promote.answer(Account.of(config), approved=False)
    show({"rejected": package}, f"rejected {package}", as_json=as_json)


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="A CSV with the header inference_id,row,label.")],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Upload late ground truth; the next drift check says how good the live model is by it."""
    uri, rows = truth(Account.of(config), file)
    show(
        {"uploaded": uri, "rows": rows}, f"uploaded {rows} rows to {uri}; `ops drift --now` uses them", as_json=as_json
    )


@app.command()
def rollback(config: Config = CONFIG, as_json: Json = False) -> None:
    """Put the previous approved model live again, without training, and follow the run that does it."""
    account = Account.of(config)
    _followed(account, runs.describe(account, promote.rollback(account)), as_json)


@app.command()
def url(config: Config = CONFIG, as_json: Json = False) -> None:
    """Print the address that rows are posted to."""
    address = Account.of(config).api_url
    show({"url": address}, address, as_json=as_json)


@app.command(name="destroy")
def destroy_(
    data: Annotated[bool, typer.Option("--data", help="The buckets and their key, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = CONFIG,
) -> None:
    """Delete what runs made (endpoint, configs, models, packages) and the stack. Data stays unless told."""
    account = Account.of(config)
    made = list(destroy.made_by_runs(account))
    kept = list(destroy.data_of(account)) if data else []
    stack = f"stack {account.settings.project.name}"
    for name in [*(name for name, _ in made), stack, *(name for name, _ in kept)]:
        console.print(f"  {name}", soft_wrap=True, markup=False)
    if not yes:
        typer.confirm("Delete all of this?", abort=True)
    for _, delete in made:
        delete()
    destroy.delete_stack()
    for _, delete in kept:
        delete()


def _followed(account: Account, run: runs.Run, as_json: bool) -> None:
    """Follows a run to its end, says how it ended and why, and exits with the code of its outcome."""
    ended = watch.follow(account, run, progress if as_json else console)
    why = f" ({ended.reason})" if ended.reason else ""
    show(ended, f"{ended.status.lower()}: {ended.outcome}{why}", as_json=as_json)
    if ended.status != "SUCCEEDED":
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.OK if ended.outcome in ("accepted", "done") else Exit.TURNED_DOWN)


def main() -> None:
    """Runs a command; a failure is one line on standard error (with --json also a document) and its exit code."""
    try:
        app(prog_name="ops")
    except FAILURES as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        hint = "" if isinstance(error, OpsError | ConfigError) else "; `python -m ops doctor` looks for the cause"
        print(f"error: {error}{hint}", file=sys.stderr)
        nothing = isinstance(error, runs.NoRun | promote.NothingToDo)
        raise SystemExit(Exit.NOTHING if nothing else Exit.FAILED) from error


if __name__ == "__main__":
    main()
