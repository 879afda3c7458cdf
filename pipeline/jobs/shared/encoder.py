"""The encoder: raw rows in, the numbers that the linear learner reads out.

Preprocessing learns it from the training rows and encodes with it. This very file is also in the model, where the
scikit-learn image runs it as its script, so both give the same numbers. It needs nothing beside numpy and pyarrow; in
the container it answers by the image's web server.
"""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

Column = NDArray[Any]  # shape (rows,), float64 or int64
OTHER, MISSING = -1, -2  # positions of categorical values that are none of the kept levels
TRUE = frozenset(["true", "t", "yes", "y", "1", "on"])
FALSE = frozenset(["false", "f", "no", "n", "0", "off"])
WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)")


class BadRows(ValueError):
    """Rows that the encoder cannot read; the message names the feature."""


def level_of(text: str) -> str:
    """Return a category as levels are written: one space between words; "3.0", which tables with gaps have, is "3"."""
    text = " ".join(text.split())
    whole = WHOLE.fullmatch(text)
    return text[: whole.start(1)] if whole else text


def boolean_of(text: str) -> float | None:
    """Return 1.0 or 0.0 for a word that means true or false, in any case; None for another."""
    word = level_of(text).lower()
    return 1.0 if word in TRUE else 0.0 if word in FALSE else None


@dataclass(frozen=True)
class Feature:
    """A feature, and what was learnt of it: `median` of a numeric one that is imputed, kept `levels` of a categorical.

    `indicator` adds a column for missing values; `other` one for levels that are too rare or unknown.
    """

    name: str
    kind: str  # "numeric", "categorical" or "boolean"
    imputed: bool = False
    median: float = 0.0
    levels: tuple[str, ...] = ()
    other: bool = False
    indicator: bool = False

    @property
    def columns(self) -> list[str]:
        """The names of the columns that it is encoded as; no two are the same, whatever the levels are called."""
        own = [f"{self.name}={level}" for level in self.levels] if self.kind == "categorical" else [self.name]
        more = (("other", self.other), ("missing", self.indicator))
        return own + [f"{self.name} ({word})" for word, there in more if there]

    def fill(self, out: NDArray[np.float64], values: Column) -> None:
        """Fill `out`, zeros of shape (rows, columns), with the code of each value.

        `values` are numbers, NaN where missing; of a categorical feature positions in `levels`, OTHER or MISSING.
        """
        missing = values == MISSING if self.kind == "categorical" else np.isnan(values)
        if not self.imputed and missing.any():
            raise BadRows(f'"{self.name}" has no value in row {int(np.argmax(missing)) + 1}: give one')
        if self.indicator:
            out[:, -1] = missing
        if self.kind != "categorical":
            out[:, 0] = np.where(missing, self.median, values) + 0.0  # -0.0 is 0.0
            return
        known = np.flatnonzero(values >= 0)
        out[known, values[known].astype(np.int64)] = 1.0
        if self.other:
            out[values == OTHER, len(self.levels)] = 1.0


@dataclass(frozen=True)
class Encoder:
    """The features in order."""

    features: tuple[Feature, ...]

    @property
    def columns(self) -> list[str]:
        """The name of each encoded column, in order."""
        return [column for feature in self.features for column in feature.columns]

    def encode(self, columns: Sequence[Column]) -> NDArray[np.float64]:
        """Return rows, given as a column per feature, encoded: shape (rows, encoded columns). Raises BadRows."""
        widths = [len(feature.columns) for feature in self.features]
        out, at = np.zeros((len(columns[0]), sum(widths))), 0
        for feature, values, width in zip(self.features, columns, widths, strict=True):
            feature.fill(out[:, at : at + width], values)
            at += width
        return out

    def read(self, text: bytes) -> list[Column]:
        """Return raw rows (CSV without a header, "" where missing) as columns for `encode`. Raises BadRows."""
        names = [str(number) for number in range(len(self.features))]
        kinds = {
            name: pa.float64() if feature.kind == "numeric" else pa.string()
            for name, feature in zip(names, self.features, strict=True)
        }
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(text),
                pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
                pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
                pa_csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=True),
            )
        except pa.ArrowInvalid as error:
            raise BadRows(
                f"want {len(names)} values in each row, numbers where the model has numbers: {error}"
            ) from error
        return [_values(feature, table.column(name)) for feature, name in zip(self.features, names, strict=True)]

    def to_json(self) -> str:
        """Return the document that `from_json` reads; it names the encoded columns too."""
        return json.dumps({"features": [asdict(feature) for feature in self.features], "columns": self.columns})

    @staticmethod
    def from_json(text: str) -> "Encoder":
        """Return the encoder of a document."""
        features = json.loads(text)["features"]
        return Encoder(tuple(Feature(**{**feature, "levels": tuple(feature["levels"])}) for feature in features))


def _values(feature: Feature, column: Any) -> Column:
    if feature.kind == "numeric":
        values = np.array(pc.fill_null(column, np.nan).combine_chunks().to_numpy(zero_copy_only=False), np.float64)
        if np.isinf(values).any() or (np.isnan(values).sum() != column.null_count):
            raise BadRows(f'"{feature.name}" is not finite in row {int(np.argmax(~np.isfinite(values))) + 1}')
        return values
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="mask")
    words = encoded.dictionary.to_pylist()
    numbers = np.array(encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False), np.int64)
    if feature.kind == "categorical":
        places = {level: place for place, level in enumerate(feature.levels)}
        return np.array([*(places.get(level_of(word), OTHER) for word in words), MISSING], np.int64)[numbers]
    meanings = [boolean_of(word) for word in words]
    if None in meanings:
        raise BadRows(f'"{feature.name}" is neither true nor false in a row: send true or false')
    return np.array([*meanings, np.nan], np.float64)[numbers]


def csv_text(columns: Sequence[Any]) -> bytes:
    """Return columns as CSV text; pyarrow writes the shortest digits that read back as the same number."""
    table = pa.table(list(columns), names=[str(number) for number in range(len(columns))])
    text = io.BytesIO()
    pa_csv.write_csv(table, text, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return text.getvalue()


# The four functions that the scikit-learn image looks for in a model's script.


def model_fn(folder: str) -> Encoder:
    """Return the encoder of a model's folder."""
    return Encoder.from_json((Path(folder) / "encoder.json").read_text(encoding="utf-8"))


def input_fn(body: Any, content_type: str) -> bytes:
    """Return the rows of a request. Raises BadRows: they are not CSV."""
    if content_type.partition(";")[0].strip().lower() != "text/csv":
        raise BadRows(f"the model takes raw rows as text/csv, not {content_type}")
    return body.encode() if isinstance(body, str) else bytes(body)


def predict_fn(text: bytes, encoder: Encoder) -> NDArray[np.float64] | BadRows:
    """Return encoded rows, or why they cannot be read."""
    try:
        return encoder.encode(encoder.read(text))
    except BadRows as error:
        return error


def output_fn(rows: NDArray[np.float64] | BadRows, _accept: str) -> Any:
    """Return encoded rows as the linear learner reads them, whatever the caller wants of the learner.

    Rows that cannot be read are the caller's fault, 400: the image would answer an exception with 500, which counts as
    an error of the model and would roll a deployment back.
    """
    if isinstance(rows, BadRows):
        return import_module("werkzeug").Response(str(rows), status=400, content_type="text/plain")
    return csv_text([pa.array(column) for column in rows.T]), "text/csv"
