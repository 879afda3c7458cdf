"""What a person types to run the pipeline: against AWS, or the local AWS when AWS_ENDPOINT_URL says so."""

import csv
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ops import destroy, promote, runs, watch
from ops.account import FAILURES, Account, OpsError
from ops.predict import flat, golden_row, predict_all, rows_of
from ops.predict import predict as post
from ops.retrain import EXIT as ASKED
from ops.retrain import retrain as ask

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(highlight=False)

Config = Annotated[str, typer.Option("--config", envvar="PIPELINE_CONFIG", help="The settings.")]
CONFIG = "pipeline.toml"
EXIT = {"accepted": 0, "rejected": 3, "superseded": 3}


@app.command()
def upload(file: Annotated[Path, typer.Argument(help="A CSV with a header.")], config: Config = CONFIG) -> None:
    """Upload a CSV to the data bucket, which starts a run."""
    account = Account.of(config)
    if not file.is_file():
        raise OpsError(f"{file}: no such file")
    bucket, key = account.outputs["DataBucket"], f"{account.settings.data.prefix}{file.name}"
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size)
        account.s3.upload_file(str(file), bucket, key, Callback=lambda count: progress.advance(task, count))
    console.print(f"uploaded s3://{bucket}/{key}; `python -m ops watch` follows the run it starts", soft_wrap=True)


@app.command()
def retrain(
    force: Annotated[bool, typer.Option("--force", help="Run again on data and settings that had a run.")] = False,
    config: Config = CONFIG,
) -> None:
    """Start a run now. Exit code: 0 started, 4 not started (nothing new, held back, no data), 1 failed."""
    answer = ask(Account.of(config), force=force)
    console.print(f"{answer['result']}: {answer['detail']}", soft_wrap=True, markup=False)
    raise typer.Exit(ASKED[answer["result"]])


@app.command(name="watch")
def watch_(config: Config = CONFIG) -> None:
    """Follow the run of the newest upload. Exit code: 0 accepted, 3 rejected or superseded, 1 failed."""
    account = Account.of(config)
    _followed(account, watch.newest_run(account, console))


@app.command()
def predict(
    row: Annotated[str | None, typer.Argument(help="Numbers with commas; without it, the first golden row.")] = None,
    file: Annotated[str, typer.Option("--file", help="A CSV of rows, with a header or without; - is stdin.")] = "",
    config: Config = CONFIG,
) -> None:
    """Post a row through API Gateway and print the label; with --file, many rows, and print a CSV."""
    account = Account.of(config)
    if file:
        _predict_file(account, file)
    else:
        print(f"prediction: {post(account, row or golden_row(account))}")


def _predict_file(account: Account, file: str) -> None:
    """The rows of a CSV to standard output as they are answered; progress goes to standard error."""
    data = account.settings.data
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(newline="", encoding="utf-8-sig") as lines:
            rows = rows_of(lines, data.features)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpsError(f"{file}: {error}") from error
    out: csv.DictWriter[str] | None = None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predicting", total=len(rows))
        for answer in predict_all(account, rows, lambda count: progress.advance(task, count)):
            told = flat(answer, data.classes)
            if out is None:
                out = csv.DictWriter(sys.stdout, told, lineterminator="\n")
                out.writeheader()
            out.writerow(told)


@app.command()
def approve(config: Config = CONFIG) -> None:
    """Let the model of the run that waits for approval go live."""
    console.print(f"approved {promote.answer(Account.of(config), approved=True)}", soft_wrap=True)


@app.command()
def reject(config: Config = CONFIG) -> None:
    """Turn down the model of the run that waits for approval."""
    console.print(f"rejected {promote.answer(Account.of(config), approved=False)}", soft_wrap=True)


@app.command()
def rollback(config: Config = CONFIG) -> None:
    """Put the previous approved model live again, without training, and follow the run that does it."""
    account = Account.of(config)
    _followed(account, runs.describe(account, promote.rollback(account)))


@app.command()
def url(config: Config = CONFIG) -> None:
    """Print the address that rows are posted to."""
    print(Account.of(config).api_url)


@app.command()
def status(config: Config = CONFIG) -> None:
    """Show what is live and the last runs."""
    account = Account.of(config)
    name = account.outputs["Endpoint"]
    live = account.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    found = next((endpoint for endpoint in live if endpoint["EndpointName"] == name), None)
    if found is None:
        console.print(f"endpoint {name}: no model has been deployed yet")
    else:
        config_name = account.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        since = f"{found['LastModifiedTime']:%F %T}"
        console.print(f"endpoint {name}: {found['EndpointStatus']}, {config_name} since {since}", soft_wrap=True)
    for run in runs.latest(account):
        console.print(f"  {run.started:%F %T}  {run.name}  {run.status}  {run.outcome}", soft_wrap=True, markup=False)


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


def _followed(account: Account, run: runs.Run) -> None:
    """Follows a run to its end, says how it ended and why, and exits with the code of its outcome."""
    ended = watch.follow(account, run, console)
    why = f" ({ended.reason})" if ended.reason else ""
    console.print(f"{ended.status.lower()}: {ended.outcome}{why}", soft_wrap=True, markup=False)
    raise typer.Exit(EXIT.get(ended.outcome, 1) if ended.status == "SUCCEEDED" else 1)


def main() -> None:
    """Runs a command; a failure is one line on standard error and exit code 1."""
    try:
        app()
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
