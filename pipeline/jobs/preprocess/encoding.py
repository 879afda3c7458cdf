"""Rows as the text of raw rows and of encoded ones, and the encoder as the model of its container."""

import gzip
import io
import tarfile
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..shared import encoder as encoder_module
from ..shared.arrow import Floats, to_arrow
from ..shared.encoder import MISSING, OTHER, Column, Encoder, Feature, csv_text
from .levels import Levels
from .records import Numbers, Records

BOOLEANS = ("false", "true")
NUMBER_BYTES = 10
"""Of the text of a number, about, and what separates it from the next."""


class RowEncoder:
    """Encodes rows whose categorical values are codes of `levels`."""

    def __init__(self, encoder: Encoder, levels: Levels) -> None:
        self.encoder = encoder
        self._features = [_Coded.of(feature, levels) for feature in encoder.features]

    @property
    def width(self) -> int:
        """About how many bytes the text of an encoded row has."""
        bits = sum(len(feature.columns) for feature in self.encoder.features if feature.kind != "numeric")
        return 2 * bits + NUMBER_BYTES * sum(feature.kind == "numeric" for feature in self.encoder.features) + 2

    def encoded(self, rows: Records) -> Floats:
        """Return rows encoded, shape (rows, encoded columns)."""
        return self.encoder.encode([coded.values(column) for coded, column in self._columns(rows)])

    def encoded_text(self, labels: Any, rows: Records) -> bytes:
        """Return rows encoded as CSV, the label of each first."""
        columns = [text for coded, column in self._columns(rows) for text in coded.encoded(column)]
        return lines_of([pc.cast(to_arrow(labels), pa.string()), *columns])

    def raw_text(self, rows: Records) -> bytes:
        """Return raw rows as CSV, "" where a value is missing."""
        columns = [coded.raw(column) for coded, column in self._columns(rows)]
        if len(columns) == 1:  # an empty line is no row for batch transform
            columns = [pc.replace_substring_regex(pc.fill_null(columns[0], ""), "^$", '""')]
        return lines_of(columns)

    def settled(self, rows: Records) -> Records:
        """Return rows with codes that do not depend on which level was seen first."""
        words = rows.words.copy()
        for number, coded in enumerate(self._features, 3):
            words[:, number] = coded.settled(words[:, number])
        return Records(words)

    def _columns(self, rows: Records) -> "list[tuple[_Coded, Floats]]":
        return list(zip(self._features, rows.features.T, strict=True))


class _Coded:
    """A feature, and the text and code of each value that is no number: what differs is encoded once."""

    def __init__(self, feature: Feature, raw: list[str], values: Column) -> None:
        """`values` are those that `Feature.fill` takes, and `raw` their texts, by code; the last is a missing one."""
        self._feature, self._values = feature, values
        self._raw = pa.array(raw, pa.string())
        self._ranks = np.argsort(np.argsort(np.array(raw))).astype(np.float64)
        present = values if feature.imputed else values[:-1]
        out = np.zeros((len(present), len(feature.columns)))
        feature.fill(out, present)
        self._encoded = pa.array(csv_text([to_arrow(column) for column in out.T]).decode().splitlines(), pa.string())

    @staticmethod
    def of(feature: Feature, levels: Levels) -> "_Coded":
        """Return that of a feature."""
        if feature.kind == "categorical":
            places = {level: place for place, level in enumerate(feature.levels)}
            found = levels.of(feature.name)
            values = np.array([*(places.get(level, OTHER) for level in found), MISSING], np.int64)
            return _Coded(feature, [*map(_quoted, found), ""], values)
        return _Coded(feature, [*BOOLEANS, ""], np.array([0.0, 1.0, np.nan]))

    def values(self, column: Floats) -> Column:
        """Return what `Feature.fill` takes."""
        return column if self._feature.kind == "numeric" else self._values[self._codes(column)]

    def settled(self, column: Floats) -> Floats:
        """Return a column with the ranks of levels."""
        return column if self._feature.kind == "numeric" else self._ranks[self._codes(column)]

    def raw(self, column: Floats) -> pa.Array:
        """Return the text of each value in raw rows."""
        if self._feature.kind != "numeric":
            return self._raw.take(pa.array(self._codes(column)))
        return pc.cast(_nulls(column), pa.string())

    def encoded(self, column: Floats) -> list[pa.Array]:
        """Return the text of encoded columns, or one of several columns."""
        if self._feature.kind != "numeric":
            return [self._encoded.take(pa.array(self._codes(column)))]
        out = np.zeros((len(column), len(self._feature.columns)))
        self._feature.fill(out, column)
        return [pc.cast(to_arrow(values), pa.string()) for values in out.T]

    def _codes(self, column: Floats) -> Numbers:
        return np.where(np.isnan(column), len(self._values) - 1, column).astype(np.int64)


def _nulls(column: Floats) -> pa.Array:
    values = to_arrow(column)
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)


def _quoted(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(sign in text for sign in ',"') else text


def lines_of(columns: list[pa.Array], separator: str = ",") -> bytes:
    """Return columns of text, quoted where they must be, as lines; nothing for a missing value."""
    replaced = partial(pc.binary_join_element_wise, null_handling="replace", null_replacement="")
    lines = replaced(*columns[:-1], replaced(columns[-1], "", "\n"), separator)
    return bytes(memoryview(lines.buffers()[2] or b""))


def write_model(encoder: Encoder, folder: Path) -> None:
    """Write model.tar.gz, the model of the encoder's container: encoder.json, and code/encoder.py that applies it."""
    source = resources.files(encoder_module.__package__).joinpath("encoder.py").read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    # Without a time, the same encoder gives the same bytes.
    with (
        gzip.GzipFile(folder / "model.tar.gz", "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in {"encoder.json": encoder.to_json().encode(), "code/encoder.py": source}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
