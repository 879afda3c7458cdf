"""What all commands share: the options --config and --json, the exit codes, and the output as text or JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from enum import IntEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ops.account import Account

CONFIG = "pipeline.toml"
Config = Annotated[str, typer.Option("--config", envvar="PIPELINE_CONFIG", help="The settings file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
RunName = Annotated[str, typer.Argument(help="A run's name or its beginning. Default: the newest run.")]
Text = str | Table | Iterable[str | Table]
OPTIONS = (
    Parameter("config", Parameter.KEYWORD_ONLY, default=CONFIG, annotation=Config),
    Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=Json),
)
WIDTH = 160
"""Columns of a table that does not go to a terminal: nothing is cut or wrapped."""


class Exit(IntEnum):
    """The exit codes of all commands; typer exits with 2 when the command line is wrong."""

    OK = 0
    FAILED = 1
    REJECTED = 3  # the run succeeded, but its model did not go live; or a drift check found drift
    NOTHING = 4  # there is nothing to do or to show yet


@dataclass(frozen=True)
class Result:
    """What a command prints, `document` with --json and else `text`, and its exit code."""

    document: object
    text: Text
    exit: Exit = Exit.OK


def command(function: Callable[..., Result]) -> Callable[..., None]:
    """The typer command of a function that takes an account and returns a Result: adds --config and --json."""

    def run(config: str, as_json: bool, **arguments: object) -> None:
        printed(function(Account.of(config), **arguments), as_json)

    _, *own = signature(function).parameters.values()
    parameters = [*(each.replace(kind=Parameter.KEYWORD_ONLY) for each in own), *OPTIONS]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(run)["__signature__"] = Signature(parameters)
    return run


def printed(result: Result, as_json: bool) -> None:
    """Print a result and end with its exit code."""
    if as_json:
        print(json.dumps(result.document, default=plain, indent=2))
    else:
        show(result.text)
    raise typer.Exit(result.exit)


def wants_json() -> bool:
    """Whether the command line has --json."""
    return "--json" in sys.argv


def console() -> Console:
    """The console for what a command does: standard error while standard output is for a JSON document."""
    return Console(highlight=False, stderr=wants_json(), width=None if sys.stdout.isatty() else WIDTH)


def progress_bar() -> Progress:
    """A bar on standard error; nothing where that is no terminal."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def show(text: Text) -> None:
    """Print text, line by line or table by table."""
    for part in [text] if isinstance(text, str | Table) else text:
        if isinstance(part, str):
            print(part, file=sys.stderr if wants_json() else sys.stdout)
        else:
            console().print(part)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without borders, so that other programs can cut its columns."""
    drawn = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*(readable(value).replace("[", r"\[") for value in row))
    return drawn


def readable(value: object) -> str:
    """A value as text: times to the second, numbers to four digits, no value as a dash."""
    if isinstance(value, datetime):
        return f"{value:%F %T}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None or value == "" else str(value)


def plain(value: Any) -> object:
    """The default of `json.dumps`: dataclasses as objects, times in ISO 8601, iterators as arrays, the rest as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Iterator):
        return list(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
