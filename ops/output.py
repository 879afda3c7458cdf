"""What every command shares: its options, its exit codes, and text for people or one JSON document for machines."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

Config = Annotated[str, typer.Option("--config", envvar="PIPELINE_CONFIG", help="The settings.")]
CONFIG = "pipeline.toml"
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]
RunName = Annotated[str, typer.Argument(help="A run's name or its beginning; without it, the newest run.")]

WIDTH = 160
"""Of what is not read on a terminal: no column is cut or wrapped for a pipe."""
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
progress = Console(highlight=False, stderr=True)
"""Where a command that answers in JSON shows what it is doing."""


class Exit(IntEnum):
    """The exit codes of all commands; 2 is the command line's own, for what was typed wrongly."""

    OK = 0
    FAILED = 1
    TURNED_DOWN = 3
    """The run ended well and its model did not go live: rejected or superseded."""
    NOTHING = 4
    """Nothing was done, as nothing is needed or possible yet."""


def show(document: Any, text: str | Table | Iterable[str | Table], *, as_json: bool) -> None:
    """Print the document as JSON, or else the text, line by line or table by table."""
    if as_json:
        print(json.dumps(document, default=plain, indent=2))
        return
    for part in [text] if isinstance(text, str | Table) else text:
        console.print(part, soft_wrap=isinstance(part, str), markup=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Columns without lines between them, so that they can be cut by other programs."""
    drawn = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*(told(value) for value in row))
    return drawn


def told(value: object) -> str:
    """A value as a person reads it: times to the second, numbers to four digits, nothing as a dash."""
    if isinstance(value, datetime):
        return f"{value:%F %T}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None or value == "" else str(value).replace("[", r"\[")


def plain(value: Any) -> Any:
    """What JSON has no word for: dataclasses as objects, times in ISO 8601, the rest as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
