"""CSV files: text in blocks of whole records, parsed by pyarrow and checked by whole columns.

A column that pyarrow cannot read as its kind in some block is read as text from then on. A block that does not parse
even so has rows with too many or too few values, which are separated from the others.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ..shared.errors import BadFile, place
from ..shared.settings import JobSettings
from .columns import texts_of, to_mask
from .hints import check_header, header_is_data, likely_separator
from .levels import Levels
from .text_file import Block, Dialect, inner_name, line_ends
from .validation import BadRow, Cells, Columns, Rows

TRAILING = "\0trailing"
"""The name of the empty column after a separator at each line's end."""
CONVERSION = re.compile(r"In CSV column #([0-9]+): .*CSV conversion error", re.DOTALL)
CODED = {False: pa.dictionary(pa.int32(), pa.string()), True: pa.dictionary(pa.int32(), pa.binary())}


def read_csv(
    file: Path, name: str, size: int, settings: JobSettings, levels: Levels, *, as_text: set[str]
) -> Iterator[Callable[[], Rows]]:
    """Yield a function per block of about `size` bytes of the file called `name`, which reads its rows in any thread.

    A .tsv file has tabs unless the settings have a separator other than the comma. `as_text` are the columns to read as
    text; reading adds to it.

    Raises BadFile: the file is empty or unreadable, a column is missing or unknown, or the text is not CSV.
    """
    if settings.format.separator == "," and inner_name(file, name).endswith(".tsv"):
        settings = replace(settings, format=replace(settings.format, separator="\t"))
    dialect = Dialect(settings.format)
    blocks = dialect.blocks(file, name, size)
    start = Block(b"", 1)
    records: list[tuple[int, bytes]] = []
    for block in blocks:
        start = Block(start.text + block.text, 1)
        records = [record for record, _ in zip(dialect.records(dialect.cleaned(start, name)), range(2), strict=False)]
        if len(records) == 2:
            break
    if not records:
        raise BadFile(f"{name}: the file is empty: it needs {'a header and ' if settings.format.header else ''}rows")
    columns = _columns(records, name, dialect, settings)
    table = CsvTable(name, dialect, columns, settings, levels, as_text)
    yield partial(table.read, start, start=True)
    for block in blocks:
        yield partial(table.read, block)


def _columns(records: list[tuple[int, bytes]], name: str, dialect: Dialect, settings: JobSettings) -> list[str]:
    """Return the name of each column, given a file's first records. Raises BadFile: they are not those wanted."""
    line, record = records[0]
    text = record.decode("utf-8", "surrogateescape")
    values = dialect.values(record, name, line)
    columns = values if settings.format.header else list(settings.format.names)
    row = dialect.values(records[-1][1], name, records[-1][0])
    if not settings.format.header:
        if [value.casefold() for value in values] == [column.strip().casefold() for column in columns]:
            raise header_is_data(name)
    elif len(records) == 2 and columns[-1] == "" and len(row) == len(columns) - 1:
        columns = columns[:-1]
    if len(row) == len(columns) + 1 and not row[-1]:
        columns = [*columns, TRAILING]
    elif len(columns) > 1 and columns[-1] == "" and not row[-1]:
        columns = [*columns[:-1], TRAILING]
    elif len(row) == len(columns) + 1 and "" in settings.ignored_columns and settings.format.header:
        columns = ["", *columns]  # R gives the names of rows no name
    named = [column for column in columns if column != TRAILING]
    if settings.format.header:
        check_header(named, place(name, line), settings, text)
        return columns
    check_header(named, f"{name}, data.format.names", settings)
    if len(row) != len(columns):
        fault = f"{len(values)} values, data.format.names has {len(named)}: correct the names"
        if sign := likely_separator(text, len(values), settings):
            fault = f"one value: the separator looks like {sign}: set data.format.separator = {sign}"
        raise BadFile(f"{place(name, line)}: {fault}")
    return columns


@dataclass(frozen=True)
class CsvTable:
    """A file's name and columns, and how to read its blocks."""

    name: str
    dialect: Dialect
    columns: list[str]
    settings: JobSettings
    levels: Levels
    as_text: set[str]

    def read(self, block: Block, start: bool = False) -> Rows:
        """Return the rows of a block; `start` is the first one of a file. Raises BadFile: the text is not CSV."""
        block = self.dialect.cleaned(block, self.name)
        if start and self.settings.format.header:
            block = self._without_header(block)
        batch = self._parsed(block.text)
        lines = None if batch is None else self._lines(block, batch.num_rows)
        if batch is None or lines is None:
            return self._read_in_two(block, start)
        found = self._checked(batch)
        records: list[tuple[int, bytes]] = list(self.dialect.records(block)) if found.wrong else []
        if found.wrong and len(records) != batch.num_rows:
            return self._read_in_two(block, start)
        return found.rows(self.name, lines, lambda row: self._cells(*records[row]), self.settings, start)

    def _without_header(self, block: Block) -> Block:
        _, record = next(self.dialect.records(block))
        text = block.text[block.text.index(record) + len(record) :].lstrip(b"\r\n")
        return Block(text, block.line + line_ends(block.text.removesuffix(text) if text else block.text))

    def _parsed(self, text: bytes) -> pa.RecordBatch | None:
        """Return all rows, or None if they have not all as many values; columns that need it become text."""
        while True:
            as_text = frozenset(self.as_text)
            options = self._convert_options(as_text)
            if not text.lstrip(b"\r\n"):  # unlike strip, it copies no text that begins with a row
                return pa.RecordBatch.from_pylist([], pa.schema(options.column_types))
            try:
                table = pa_csv.read_csv(
                    pa.BufferReader(text),
                    pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=self.columns),
                    self._parse_options,
                    options,
                )
            except pa.ArrowInvalid as error:
                found = CONVERSION.match(str(error))
                if not found or self.columns[int(found[1])] in as_text:
                    return None
                self.as_text.add(self.columns[int(found[1])])
            else:
                batches = table.combine_chunks().to_batches()  # none of a text without a row
                return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)

    @property
    def _parse_options(self) -> pa_csv.ParseOptions:
        signs = self.settings.format
        return pa_csv.ParseOptions(delimiter=signs.separator, quote_char=signs.quote or False, newlines_in_values=True)

    def _convert_options(self, as_text: frozenset[str]) -> pa_csv.ConvertOptions:
        kinds, missing = self.settings.reading, self.settings.missing_texts
        types = {}
        for column in self.columns:
            kind, is_text = kinds[column][0] if column in kinds else "text", column in as_text
            if kind == "text":
                by_all = self.settings.target and not self.settings.id_columns  # a row is known by all its columns
                if by_all or column in (*self.settings.id_columns, TRAILING):
                    types[column] = pa.binary() if is_text else pa.string()
            elif kind == "numeric":
                types[column] = pa.binary() if is_text else pa.float64()
            else:
                types[column] = CODED[is_text]
        return pa_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[sign + text + end for text in missing for sign, end in (("", ""), (" ", ""), ("", " "))],
            decimal_point=self.settings.format.decimal,
        )

    def _checked(self, batch: pa.RecordBatch) -> Columns:
        columns, texts = {}, {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            columns[name], texts[name] = texts_of(column) if pa.types.is_binary(kind) else (column, column)
        trailing = texts.pop(TRAILING, None)
        found = Columns.of(columns, texts, self.settings, self.levels)
        if trailing is not None:
            filled = to_mask(pc.greater(pc.binary_length(pc.utf8_trim_whitespace(trailing)), 0))
            found.wrong.update({TRAILING: filled} if filled.any() else {})
        return found

    def _cells(self, line: int, record: bytes) -> Cells:
        """Return what a record of this line holds. Raises BadFile."""
        values = self.dialect.values(record, self.name, line)
        wanted = len(self.columns) - (TRAILING in self.columns)
        text = record.decode("utf-8", "backslashreplace")
        if len(values) != len(self.columns) or any(values[wanted:]):
            what = "the header has" if self.settings.format.header else "data.format.names has"
            return Cells(text, {}, f"{len(values)} values, {what} {wanted}: correct the row")
        return Cells(text, dict(zip(self.columns, values, strict=True)))

    def _read_in_two(self, block: Block, start: bool) -> Rows:
        """Return the rows of a block that does not parse as it is: the whole records, and those that are not."""
        records = list(self.dialect.records(block))
        separator, width = self.dialect.separator, len(self.columns)
        is_whole = [self.dialect.mask(record).count(separator) + 1 == width for _, record in records]
        whole = [record for record, wanted in zip(records, is_whole, strict=True) if wanted]
        others = [record for record, wanted in zip(records, is_whole, strict=True) if not wanted]
        batch = self._parsed(b"\n".join(record for _, record in whole))
        if batch is None or batch.num_rows != len(whole):
            fault = "a value has quotes in it that are not doubled"
            raise BadFile(f"{self.name}: {fault}: see from row {block.line} on")
        lines = np.array([line for line, _ in whole], np.int64)
        rows = self._checked(batch).rows(
            self.name, lines, lambda row: self._cells(*whole[row]), self.settings, start=start
        )
        ragged = [(line, self._cells(line, record)) for line, record in others]
        unclear = "a quote within a value is not doubled: correct it"
        bad = [BadRow(self.name, line, None, cells.fault or unclear, cells.text) for line, cells in ragged]
        return replace(rows, bad=sorted([*rows.bad, *bad], key=lambda row: row.row))

    def _lines(self, block: Block, rows: int) -> NDArray[np.int64] | None:
        """Return each row's line; None if the text has not as many rows."""
        ends = block.ends + (not block.text.endswith((b"\n", b"\r")))
        if ends == rows:  # no line is blank, and no value has two
            return np.arange(block.line, block.line + ends)
        lines = np.array([line for line, _ in self.dialect.records(block)], np.int64)
        return lines if len(lines) == rows else None
