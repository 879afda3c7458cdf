"""Everything that is decided about a file, and what its owner should look at."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ops.account import OpsError
from ops.init.baseline import gate_of, leak_of
from ops.init.columns import Column, Texts, column_of, style_of, target_of
from ops.init.settings_file import Plan, slug
from ops.init.sniff import SUFFIXES, Cells, read_text
from pipeline.settings import Cell, Format, Levels

FEWEST_ROWS = 30
RARE = 0.05


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for; empty texts and tuples where it leaves the decision open."""

    target: str
    name: str = ""
    positive: str = ""
    type: str = ""
    names: tuple[str, ...] = ()


def plan_of(file: Path, wishes: Wishes) -> tuple[Plan, list[str]]:
    """Return the plan for a file, and sentences about what its owner should look at. Raises OpsError."""
    cells = read(file, wishes)
    place = _place_of(file, cells.names, wishes.target)
    if reason := cells.unusable.get(cells.names[place]):
        raise OpsError(f"{file}: the target {cells.names[place]!r} has {reason}: choose another --target")
    texts = [Texts.of(name, column) for name, column in zip(cells.names, cells.columns, strict=True)]
    if len(cells.columns[0]) + cells.odd < FEWEST_ROWS:
        raise OpsError(f"{file}: {len(cells.columns[0])} rows: a model needs at least {FEWEST_ROWS}, better hundreds")
    style = style_of(texts, cells.format)
    try:
        target = target_of(texts[place], style, wishes.positive, wishes.type)
    except ValueError as error:
        raise OpsError(f"{file}: {error}") from error
    others = [text for number, text in enumerate(texts) if number != place]
    columns = tuple(
        Column(text.name, "ignored", cells.unusable[text.name])
        if text.name in cells.unusable
        else column_of(text, style, Levels())
        for text in others
    )
    features = [column for column in columns if column.kind != "ignored"]
    if not features:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
        raise OpsError(f"{file}: no column is left to learn from ({reasons})")
    usable = target.known & ~np.any([_wrong(column) for column in features], axis=0)
    if usable.sum() < FEWEST_ROWS:
        raise OpsError(f"{file}: {usable.sum()} rows have a value of the target {target.name!r}: give more of them one")
    form = cells.format.model_copy(
        update={"decimal": style.decimal, "thousands": style.thousands, "symbols": style.symbols}
    )
    plan = Plan(
        name=wishes.name or slug(_stem(file)),
        rows=len(usable) + cells.odd,
        refused=int((~usable).sum()) + cells.odd,
        all_rows=round((len(usable) + cells.odd) / cells.share),
        size=int(file.stat().st_size),
        format=form if file.suffix.lower() != ".parquet" else Format(),
        missing=tuple(sorted({word for text in texts for word in text.words if word} & style.missing)),
        target=target,
        columns=columns,
        gate=gate_of(features, target),
        example=_example(features, usable),
    )
    return plan, list(_hints(plan, cells))


def read(file: Path, wishes: Wishes) -> Cells:
    """Return the cells of a file. Raises OpsError."""
    if not file.is_file():
        raise OpsError(f"{file}: no such file")
    if not file.name.lower().endswith(SUFFIXES):
        raise OpsError(f"{file}: a run reads only {', '.join(SUFFIXES)}: save the table as CSV")
    return _parquet(file) if file.suffix.lower() == ".parquet" else read_text(file, wishes.target, wishes.names)


def _parquet(file: Path) -> Cells:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise OpsError(f"{file}: {error}") from error
    columns, unusable = [], {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        try:
            words = pc.cast(plain, pa.string()).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            words = [""] * len(plain)
            unusable[name] = f"values of the type {plain.type}, which are neither numbers nor texts"
        columns.append([(word or "").strip() for word in words])
    return Cells(list(table.column_names), columns, Format(), 0, 1.0, unusable)


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _place_of(file: Path, names: Sequence[str], target: str) -> int:
    if target in names:
        return list(names).index(target)
    if re.fullmatch(r"[+-]?\d+", target):
        number = int(target)
        place = number + len(names) if number < 0 else number - 1
        if not 0 <= place < len(names) or not number:
            raise OpsError(f"--target {target}: {file} has the columns 1 to {len(names)}, and -1 is the last")
        return place
    # A name may have a line break in it.
    if (spaced := [" ".join(name.split()) for name in names]).count(" ".join(target.split())) == 1:
        return spaced.index(" ".join(target.split()))
    named = {name.lower().strip(): name for name in names}
    near = get_close_matches(target.lower(), named, 1, 0.5)
    hint = f"did you mean {named[near[0]]!r}? " if near else ""
    raise OpsError(f"--target {target!r} is no column of {file}: {hint}Columns: {', '.join(map(repr, names))}")


def _wrong(column: Column) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows have a value that is not of the column's kind."""
    gaps = np.isnan(column.values)
    return gaps & (not column.missing) if column.wrong else np.zeros(len(gaps), bool)


def _example(features: Sequence[Column], usable: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, Cell]:
    """Return the first usable row with the fewest gaps, as the API takes it."""
    gaps = np.sum([np.isnan(column.values) for column in features], axis=0)
    row = int(np.argmin(np.where(usable, gaps, len(features) + 1)))
    return {column.name: _cell(column, float(column.values[row])) for column in features}


def _cell(column: Column, value: float) -> Cell:
    if np.isnan(value):
        return ""
    if column.kind == "categorical":
        return column.levels[int(value)]
    if column.kind == "boolean":
        return bool(value)
    return int(value) if value == int(value) else value


def _hints(plan: Plan, cells: Cells) -> Iterable[str]:
    yield from _of_rows(plan, cells)
    for column in plan.features:
        yield from _of_column(column, plan)
    yield from _of_target(plan)


def _of_rows(plan: Plan, cells: Cells) -> Iterable[str]:
    target = plan.target
    if cells.share < 1:
        yield f"the file is large: {cells.share:.0%} of it, spread evenly, was looked at"
    if cells.odd:
        yield f"{cells.odd} rows have too many or too few values: they are refused, data.bad_rows allows it"
    missing = int((~target.known).sum())
    if missing:
        what = f" or one of the rare classes {', '.join(target.left_out)}" if target.left_out else ""
        yield f"{missing} rows have no usable value of {target.name!r}{what}: they are refused, data.bad_rows allows it"


def _of_column(column: Column, plan: Plan) -> Iterable[str]:
    if column.wrong:
        yield f"{column.name!r} has no number in {column.wrong} rows: they are refused, data.bad_rows allows it"
    yield from (f"{column.name!r} {hint}" for hint in column.hints)
    if leak := leak_of(column, plan.target):
        yield f"{column.name!r}: {leak}: is it known when you predict? If not, move it to ignored_columns"
    if column.missing > 0.5 * plan.rows:
        yield f"{column.name!r} has no value in {column.missing / plan.rows:.0%} of the rows"


def _of_target(plan: Plan) -> Iterable[str]:
    target = plan.target
    if len({label.casefold() for label in target.labels}) < len(target.labels):
        shown = ", ".join(target.labels[:6])
        yield f"some labels differ only in case ({shown}): correct the file if they mean the same"
    if target.labels:
        counts = Counter(target.values[target.known].astype(int).tolist())
        rarest = min(counts, key=lambda number: counts[number])
        share = counts[rarest] / sum(counts.values())
        if share < RARE:
            yield f"only {share:.1%} of the rows are {target.labels[rarest]!r}: accuracy says little"
        if all(re.fullmatch(r"-?\d+", label) for label in target.labels) and set(target.labels) != {"0", "1"}:
            yield f"the numbers of {target.name!r} are taken for classes: for a regression add --type regressor"
    linear, constant = plan.gate.linear, plan.gate.constant
    name = "r2" if target.type == "regressor" else "auc" if len(target.labels) == 2 else "accuracy"
    if linear[name] - constant[name] < 0.05:
        reached = f"{name} {linear[name]:.3f}"
        yield f"a linear model hardly predicts {target.name!r} ({reached}): the gate may reject it"
