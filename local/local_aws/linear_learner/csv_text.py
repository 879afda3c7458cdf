"""CSV without a header as float32: in blocks for training, at once for a request.

Large texts are parsed by pyarrow, two blocks of a file at a time; small ones here: importing pyarrow takes longer than
they do. What pyarrow refuses goes through the parser here too, which accepts it after all or says where the fault is.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from local_aws.linear_learner.common import ClientError, Doubles, Floats

BLOCK_BYTES = 4 << 20
PARSERS = 2
LARGE = 1 << 16


def parse(text: bytes) -> Floats:
    """(rows, columns) of one CSV text. Raises ValueError with the row, from 1, and what is wrong with it."""
    if len(text) > LARGE and (table := _by_arrow(text)) is not None:
        return table
    return _by_numpy(text)


def _by_numpy(text: bytes) -> Floats:
    lines = [line for line in text.replace(b'"', b"").split(b"\n") if line.strip()]
    columns = lines[0].count(b",") + 1 if lines else 0
    try:
        # It stops at what is no number, and warns: then there are too few, or the last one is not what stands there.
        values = np.fromstring(b",".join(lines), np.float64, sep=",")
        whole = not lines or values[-1] == float(lines[-1].rpartition(b",")[2])
        if whole and all(line.count(b",") == columns - 1 for line in lines):
            return finite(values.reshape(len(lines), columns))
    except (ValueError, IndexError, DeprecationWarning):
        pass
    raise _fault(lines, columns)


def finite(values: Floats | Doubles) -> Floats:
    """As float32. Raises ValueError when something is not finite, or too large to be so in 32 bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        table = values.astype(np.float32, copy=False)
        # A sum is finite when its parts are; it may also overflow, so only then each value is checked.
        if not np.isfinite(table.sum(dtype=np.float64)) and not np.isfinite(table).all():
            raise ValueError("not finite")
    return table


def blocks(stream: IO[bytes], path: Path) -> Iterator[Floats]:
    """The rows of one file, a few megabytes of text at a time.

    Raises ClientError: in the container's words, then the row and the column.
    """
    seen = 0
    for text, attempt in _attempts(stream):
        table = attempt.result() if attempt else None
        if table is None:
            try:
                table = _by_numpy(text)
            except ValueError as error:
                row = seen + int(error.args[0])
                message = f"Unable to parse csv: rows {row}-{row}, file {path}: row {row}, {error.args[1]}"
                raise ClientError(message) from None
        seen += len(table)
        if len(table):
            yield table


def _attempts(stream: IO[bytes]) -> Iterator[tuple[bytes, Future[Floats | None] | None]]:
    """Blocks of whole lines, with what pyarrow makes of each when there is more than one block."""
    waiting: deque[tuple[bytes, Future[Floats | None]]] = deque()
    text = _whole_lines(stream)
    following = _whole_lines(stream)
    if not following:
        yield text, None
        return
    with ThreadPoolExecutor(PARSERS) as pool:
        while text:
            waiting.append((text, pool.submit(_by_arrow, text)))
            if len(waiting) > PARSERS:
                yield waiting.popleft()
            text, following = following, _whole_lines(stream)
        yield from waiting


def _whole_lines(stream: IO[bytes]) -> bytes:
    return stream.read(BLOCK_BYTES) + stream.readline()


def _by_arrow(text: bytes) -> Floats | None:
    """None when pyarrow finds something that is not a plain finite number."""
    import pyarrow  # noqa: PLC0415 (see above)
    from pyarrow import csv  # noqa: PLC0415

    names = [str(column) for column in range(text.partition(b"\n")[0].count(b",") + 1)]
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(text),
            csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
            csv.ParseOptions(delimiter=","),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.float64()), null_values=[]),
        )
        # Not to_numpy: that imports pandas, which takes a second.
        columns = [np.from_dlpack(column.chunk(0)) for column in table.columns]
        with np.errstate(over="ignore"):
            return finite(np.stack(columns, axis=1, dtype=np.float32, casting="same_kind"))
    except (pyarrow.ArrowInvalid, ValueError):
        return None


def _fault(lines: list[bytes], columns: int) -> ValueError:
    """Where a text that did not parse goes wrong first."""
    for row, line in enumerate(lines, 1):
        cells = line.split(b",")
        if len(cells) != columns:
            return ValueError(row, f"{len(cells)} columns where the first row has {columns}")
        for column, cell in enumerate(cells, 1):
            try:
                if b"_" in cell:
                    raise ValueError
                finite(np.array([float(cell)]))
            except ValueError:
                shown = cell.strip().decode("utf-8", "replace")[:40]
                return ValueError(row, f"column {column}: '{shown}' is not a finite number")
    raise AssertionError("every cell is a number in a table of numbers")
