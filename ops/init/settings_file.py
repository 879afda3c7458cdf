"""pipeline.toml for a table: the parts that depend on the data are written, the others stay as they are."""

import json
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ops.init.baseline import Gate
from ops.init.columns import Column, Target
from pipeline.settings import Cell, Format

SHIPPED = Path(__file__).parents[2] / "pipeline.toml"
BATCHES = (10, 20, 50, 100, 200, 500, 1000)
STEPS = 3000  # of training, as long as that takes 15 to 100 epochs
ENOUGH_TO_CHOOSE = 2000  # training rows, so some 700 of validation
REPLACED = re.compile(r"(stage\.\w+\.)?data(\..*)?|endpoint\.golden|api\.example|training\.hyperparameters|project")
VALUES_AT = 40  # the column of a line's comment


@dataclass(frozen=True)
class Plan:
    """What was decided about a table of `rows` rows, `refused` of them without a usable target or with wrong values.

    Of a large file these are of the part that was looked at; `all_rows` is about how many the whole file has.
    """

    name: str
    rows: int
    refused: int
    all_rows: int
    size: int  # of the file in bytes
    format: Format
    missing: tuple[str, ...]
    target: Target
    columns: tuple[Column, ...]
    gate: Gate
    example: dict[str, Cell]
    salt: str = "1"

    @property
    def features(self) -> list[Column]:
        """The columns that the model learns from."""
        return [column for column in self.columns if column.kind != "ignored"]

    @property
    def imputed(self) -> list[str]:
        """The features with gaps."""
        return [column.name for column in self.features if column.missing]

    @property
    def volume_gb(self) -> int:
        """GB for the file and two copies of its rows, one sorted and one written, of 8 bytes per value or level."""
        words = 3 + len(self.features) + sum(len(column.levels) for column in self.features)
        return max(10, math.ceil((self.size + 2 * 8 * words * self.all_rows) / 1e9))

    @property
    def smallest_class(self) -> int:
        """The rows of the rarest class; for a regression all rows."""
        known = self.target.values[self.target.known]
        return int(np.bincount(known.astype(np.int64)).min()) if self.target.labels else len(known)


def text_of(plan: Plan, base: str) -> str:
    """Return the settings: the text of another settings file with the tables that depend on the data as planned."""
    _, *tables = re.split(r"^(?=\[)", base, flags=re.M)
    named = [(table[: table.index("]")].strip("["), table) for table in tables]
    written = ["# The settings of the pipeline, written by `ops init` for your data.\n\n", _project(plan), _data(plan)]
    for name, table in named:
        if REPLACED.fullmatch(name):
            continue
        written.append(_edited(name, table, plan))
        if name == "training":
            written.append(_hyperparameters(plan))
        if name == "api":
            written.append(_example(plan))
    return "".join(f"{table.rstrip()}\n\n" for table in written).rstrip() + "\n"


def _edited(name: str, table: str, plan: Plan) -> str:
    changes: dict[str, tuple[str, str]] = {}
    encoded = plan.imputed or any(column.kind != "numeric" for column in plan.features)
    if name == "gate":
        changes["minimum"] = (_inline(plan.gate.minimum), "")
        changes["maximum"] = (_inline(plan.gate.maximum), "")
        changes["margin"] = (repr(plan.gate.margin), "the model may be worse than the live model by this much at most,")
    elif name == "model_card":
        # What the file at hand says is of another model.
        told = dict.fromkeys(re.findall(r"^(\w+) = ", table, re.M), '""')
        changes = {key: (value, "") for key, value in told.items()}
        changes["risk_rating"] = ('"Unknown"', 'or "High", "Medium", "Low"')
    elif name == "api":
        changes["path"] = ('"/predict"', "")
    elif name == "processing":
        changes["volume_gb"] = (str(plan.volume_gb), "at least the size of the data plus 16 bytes per value")
        if encoded:
            changes["instance_count"] = ("1", "categories and gaps are learnt on one instance")
    elif name.startswith("stage.") and name.endswith(".project"):
        stage = name.split(".")[1]
        changes["name"] = (_quoted(f"{slug(plan.name, 15 - len(stage))}-{stage}"), "")
    for key, (value, comment) in changes.items():
        line = _line(key, value, comment)
        found = re.search(rf"^{key} = .*\n?", table, re.M)
        table = table.replace(found[0], line) if found else f"{table.rstrip()}\n{line}"
    return table


def slug(text: str, most: int = 16) -> str:
    """Return a text as a name of small letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return re.sub(r"^[^a-z]+", "", words)[:most].strip("-") or "model"


def _project(plan: Plan) -> str:
    return "[project]\n" + _line("name", _quoted(plan.name), "prefix of every resource's name; at most 16 characters")


def _data(plan: Plan) -> str:
    target, features = plan.target, plan.features
    ignored = [column for column in plan.columns if column.kind == "ignored"]
    kinds = [column for column in features if column.kind != "numeric"]
    share = math.ceil(150 * plan.refused / plan.rows) / 100
    lines = [
        "[data]\n",
        _line("prefix", '"raw/"', "uploading a file under this prefix of the data bucket starts a run"),
        _line("predictor_type", _quoted(target.type), f"the target: {target.reason}"),
        _line("target", _quoted(target.name)),
    ]
    if target.type == "binary_classifier":
        lines.append(_line("positive_label", _quoted(target.labels[1]), "predicted_label 1"))
        lines.append(_line("negative_label", _quoted(target.labels[0]), "predicted_label 0"))
    elif target.labels:
        lines.append(_array("labels", target.labels))
    lines += [
        _line("id_columns", "[]", "columns that name a row: a later upload with the same ids replaces it"),
        _array("features", [column.name for column in features]),
        *_reasons("ignored_columns", ignored),
        _line("minimum_rows_per_class", str(max(3, min(1000, plan.smallest_class // 2)))),
        "\n",
        _head("data.bad_rows", "limit of invalid rows, kept in the run's quarantine; above it the run fails"),
        _line("count", "0", "this many rows,"),
        _line("share", repr(share), "or this share of all rows, whichever is more"),
        "\n",
    ]
    if kinds:
        lines.append(_head("data.kinds", "of the features that are not numbers"))
        lines += [_line(_key(column.name), _quoted(column.kind), column.reason) for column in kinds]
        lines.append("\n")
    if plan.missing or plan.imputed:
        lines.append("[data.missing]\n")
        lines.append(_array("texts", plan.missing, 'they mean "no value", as the empty text does'))
        lines.append(_array("impute", plan.imputed, "features that are filled in: another without a value is an error"))
        lines.append("\n")
    lines.append(_format(plan.format))
    lines.append(_head("data.split", "by a hash of the row: a row keeps its part in every run"))
    lines.append(f"train = 0.6\nvalidation = 0.2\nholdout = 0.2\nsalt = {_quoted(plan.salt)}\n")
    return "".join(lines)


def _format(found: Format) -> str:
    given = found.model_dump(exclude_defaults=True)
    lines = [
        _array(key, value) if isinstance(value, tuple) else _line(key, _value(value)) for key, value in given.items()
    ]
    return _head("data.format", "how the files are written") + "".join(lines) + "\n" if lines else ""


def _hyperparameters(plan: Plan) -> str:
    rows = (plan.rows - plan.refused) * 0.6
    batch = max([size for size in BATCHES if size <= rows / 10], default=BATCHES[0])
    epochs = min(100, max(15, round(STEPS * batch / rows)))
    head = _head(
        "training.hyperparameters", "of SageMaker's linear learner; predictor_type and feature_dim are derived"
    )
    text = head + _line("mini_batch_size", str(batch)) + _line("epochs", str(epochs))
    if rows < ENOUGH_TO_CHOOSE:
        text += _line("num_models", "1", "not 32 in parallel: too few validation rows to choose among them")
    return text


def _example(plan: Plan) -> str:
    lines = [_line(_key(name), _value(cell)) for name, cell in plan.example.items()]
    return _head("api.example", "a row of the file: `ops predict` posts it, the API's documents show it") + "".join(
        lines
    )


def _head(name: str, comment: str) -> str:
    return f"{f'[{name}]':<{VALUES_AT - 1}} # {comment}\n"


def _line(key: str, value: str, comment: str = "") -> str:
    written = f"{key} = {value}"
    return f"{written:<{VALUES_AT - 1}} # {_plain(comment)}\n" if comment else f"{written}\n"


def _array(key: str, values: Iterable[str], comment: str = "") -> str:
    texts = [_quoted(value) for value in values]
    one = f"{key} = [{', '.join(texts)}]"
    if len(one) <= VALUES_AT + 30 or len(texts) < 2:
        return f"{one:<{VALUES_AT - 1}} # {comment}\n" if comment else f"{one}\n"
    # A blank in a name is no place to break a line.
    joined = " ".join(f"{text.replace(' ', chr(0))}," for text in texts)
    wrapped = textwrap.wrap(joined, 114, break_long_words=False, break_on_hyphens=False)
    head = f"{f'{key} = [':<{VALUES_AT - 1}} # {comment}" if comment else f"{key} = ["
    return "\n".join([head, *(f"    {line}" for line in wrapped), "]\n"]).replace(chr(0), " ")


def _reasons(key: str, columns: list[Column]) -> list[str]:
    if not columns:
        return [f"{key} = []\n"]
    lines = (f"{f'    {_quoted(column.name)},':<{VALUES_AT - 1}} # {_plain(column.reason)}\n" for column in columns)
    return [f"{key} = [\n", *lines, "]\n"]


def _inline(values: Mapping[str, float]) -> str:
    return f"{{ {', '.join(f'{_key(name)} = {value!r}' for name, value in values.items())} }}" if values else "{}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(comment: str) -> str:
    """Return a comment without control characters, of at most a line."""
    return textwrap.shorten("".join(sign if sign.isprintable() else " " for sign in comment), 100, placeholder=" …")
