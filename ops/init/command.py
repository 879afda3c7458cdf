"""`ops init`: from a file to settings."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ops.account import OpsError
from ops.check import Checked, checked
from ops.output import CONFIG, Json, Result, printed, table
from pipeline.config import ConfigError, load

if TYPE_CHECKING:
    from ops.init.settings_file import Plan

SALTS = 20
"""Attempts to find a split in which each part has rows of each class."""
MOST_CHECKED = 200 << 20  # bytes of a file that is checked at once


class Type(StrEnum):
    """The linear learner's predictor types."""

    BINARY = "binary_classifier"
    MULTICLASS = "multiclass_classifier"
    REGRESSOR = "regressor"


def init(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV or Parquet file, also packed.")],
    *,
    target: Annotated[
        str, typer.Option("--target", help="The column to predict: its name, or its place; -1 is the last.")
    ],
    name: Annotated[str, typer.Option("--name", help="The project's name. Default: the file's.")] = "",
    positive: Annotated[
        str, typer.Option("--positive", help="Of two labels the one to find. Default: the rarer.")
    ] = "",
    predictor: Annotated[
        Type | None, typer.Option("--type", help="The predictor type. Default: as the target is.")
    ] = None,
    names: Annotated[str, typer.Option("--names", help="The columns of a file without a header: a,b,c.")] = "",
    out: Annotated[Path, typer.Option("--out", help="The settings file to write.")] = Path(CONFIG),
    as_json: Json = False,
) -> None:
    """Write the settings for a file, and say what was decided and what to look at."""
    # Only this command needs pyarrow and scikit-learn, which take seconds to import.
    from ops.init.plan import Wishes, plan_of
    from ops.init.settings_file import SHIPPED

    columns = tuple(each.strip() for each in names.split(",")) if names else ()
    plan, hints = plan_of(file, Wishes(target, name, positive, predictor.value if predictor else "", columns))
    base = (out if out.is_file() else SHIPPED).read_text(encoding="utf-8")
    plan, text, found = _settled(plan, base, file)
    saved = _write(out, text)
    printed(
        Result(_document(plan, out, hints, found), _text(plan, out, file=file, saved=saved, hints=hints, found=found)),
        as_json,
    )


def _settled(plan: "Plan", base: str, file: Path) -> tuple["Plan", str, Checked | None]:
    """Return the plan with a salt with which preprocessing accepts the file, its text, and what preprocessing says."""
    from ops.init.settings_file import text_of

    first: tuple[Plan, str, Checked | None] | None = None
    for salt in range(1, SALTS + 1):
        tried = replace(plan, salt=str(salt))
        text = text_of(tried, base)
        with TemporaryDirectory() as folder:
            written = Path(folder) / "pipeline.toml"
            written.write_text(text, encoding="utf-8")
            try:
                settings = load(written, "dev")
            except ConfigError as error:
                message = str(error).replace(f"{written}: ", "")
                raise OpsError(f"{file}: no valid settings: {message}") from error
        found = checked(settings, [file]) if file.stat().st_size < MOST_CHECKED else None
        first = first or (tried, text, found)
        if found is None or found.accepted or "salt" not in found.message:
            return tried, text, found
    assert first is not None
    return first


def _write(out: Path, text: str) -> Path | None:
    """Write the file as a whole or not at all; return where the old one is kept, if it was another."""
    saved = None
    if out.is_file() and out.read_text(encoding="utf-8") != text:
        numbers = (f".{number}" if number > 1 else "" for number in range(1, 10_000))
        saved = next(path for end in numbers if not (path := out.with_name(f"{out.name}.bak{end}")).exists())
        saved.write_bytes(out.read_bytes())
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise OpsError(f"{out}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return saved


def _text(
    plan: "Plan", out: Path, *, file: Path, saved: Path | None, hints: list[str], found: Checked | None
) -> Iterable[str | Table]:
    target = plan.target
    yield f"target {target.name}: {target.type} ({target.reason})"
    if target.type == "binary_classifier":
        yield f"positive label: {target.labels[1]}"
    rows = ((each.name, each.kind, each.missing or "", each.reason) for each in plan.columns)
    yield table(("column", "kind", "gaps", "reason"), rows)
    if given := plan.format.model_dump(exclude_defaults=True):
        yield "format: " + ", ".join(f"{key} = {value!r}" for key, value in given.items() if key != "names")
    for kind in ("linear", "constant"):
        reached = ", ".join(f"{name} {value:.3f}" for name, value in getattr(plan.gate, kind).items())
        yield f"a {'linear model' if kind == 'linear' else 'constant answer'} reaches {reached} here"
    limits = [f"{name} >= {value:g}" for name, value in plan.gate.minimum.items()]
    limits += [f"{name} <= {value:g}" for name, value in plan.gate.maximum.items()]
    yield f"gate: {', '.join(limits)}"
    yield from (f"look at: {hint}" for hint in hints)
    if found:
        yield f"check: {found.message}"
    yield f"wrote {out}" + (f"; the old one is {saved}" if saved else "")
    config = "" if out == Path(CONFIG) else f"PIPELINE_CONFIG={quote(str(out))} "
    yield f"next: {config}make run DATA={quote(str(file))}"


def _document(plan: "Plan", out: Path, hints: list[str], found: Checked | None) -> dict[str, object]:
    columns = [
        {key: getattr(each, key) for key in ("name", "kind", "reason", "missing", "wrong")} for each in plan.columns
    ]
    target = {"name": plan.target.name, "type": plan.target.type, "labels": plan.target.labels}
    shown = {"settings": str(out), "name": plan.name, "rows": plan.rows, "target": target, "columns": columns}
    return {**shown, "format": plan.format.model_dump(), "gate": asdict(plan.gate), "look_at": hints, "check": found}
