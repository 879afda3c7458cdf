"""Train, validation and hold-out: a hash of a row's features decides its part, which it keeps over retrains."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from ..shared.arrow import to_arrow
from ..shared.errors import JobError
from ..shared.settings import JobSettings
from . import recordio
from .records import Records

SHARD_BYTES = 16 << 20
"""The size from which a part continues in a new file: several instances of training or transform get even shares."""


def distinct(records: Records, settings: JobSettings) -> tuple[Records, int, Records]:
    """Return the rows to keep, in the order of their keys (shuffled, and always the same), and those that conflict.

    Of equal rows the first is kept. Rows with the same features and different labels conflict: their number, and the
    first two. For regression these are repeated measurements: all stay, in the same part.
    """
    order = records.order()
    keys, labels = records.keys[order], records.labels[order]
    second = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    second = second[(records.features[order[second - 1]] == records.features[order[second]]).all(axis=1)]
    differ = labels[second] != labels[second - 1]
    conflicting = second[differ] if settings.classes else second[:0]
    first = order[conflicting[0] - 1 : conflicting[0] + 1] if len(conflicting) else order[:0]
    return records[np.delete(order, second[~differ])], len(conflicting), records[first]


def split(rows: Records, settings: JobSettings) -> Iterator[tuple[str, Records]]:
    """Yield the rows of train, validation and hold-out, given in the order of keys: each has its range of them."""
    position = (rows.keys >> np.uint64(11)) * 2.0**-53
    ends = np.cumsum(list(settings.shares.values())[:-1])
    places = [0, *np.searchsorted(position, ends, side="left").tolist(), len(rows)]
    for name, start, end in zip(settings.shares, places[:-1], places[1:], strict=True):
        yield name, rows[start:end]


def check_enough(counts: dict[str, NDArray[np.int64]], source: str, settings: JobSettings) -> None:
    """Check that classes and parts have enough distinct rows; `source` describes the data. Raises JobError."""
    names = settings.classes or (settings.target,)
    least = settings.minimum_rows_per_class
    for name, count in zip(names, np.sum(list(counts.values()), axis=0).tolist(), strict=True):
        if count < least:
            advice = f"at least {least} are wanted: add rows, or lower data.minimum_rows_per_class"
            raise JobError(f'{source}: {count} different rows for "{name}", {advice}')
    # A class without rows in a part makes every later metric meaningless; R2 needs two values.
    least = 1 if settings.classes else 2
    for part, of_part in counts.items():
        for name, count in zip(names, of_part.tolist(), strict=True):
            if count < least:
                advice = f"add rows, enlarge data.split.{part} or change data.split.salt"
                raise JobError(f'{part} has {count} rows for "{name}", at least {least} are wanted: {advice}')
    if (rows := counts["train"].sum()) < settings.mini_batch_size:
        advice = "add rows, or make training.hyperparameters.mini_batch_size smaller"
        raise JobError(f"train has {rows} rows, less than one mini-batch of {settings.mini_batch_size}: {advice}")


@contextmanager
def atomic_output(output: Path) -> Iterator[None]:
    """Remove partial output under `output` on failure. Raises JobError: the disk is full."""
    before = {output, *output.rglob("*")} if output.exists() else set()
    try:
        yield
    except BaseException as error:
        for path in sorted({output, *output.rglob("*")} - before, reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise JobError(f"{output}: the disk is full: raise processing.volume_gb") from error
        raise


class SplitWriter:
    """The files of every part: a new one begins when the last has SHARD_BYTES.

    train/train-00000.csv and validation/validation-00000.csv are label first without a header, as the linear learner
    reads CSV, or .pbr by the settings' content type; holdout/holdout-00000.jsonl has the features,
    labels/labels-00000.jsonl the row's key and label, line by line. With several hosts a name ends in the host's.
    """

    def __init__(self, output: Path, host: str, content_type: str) -> None:
        self._output, self._host, self._type = output, host, content_type
        self._open: list[BinaryIO] = []
        self.shards: list[tuple[str, int, int]] = []  # part, number and rows of each, in the order of the rows' keys

    def write(self, part: str, texts: list[bytes], rows: int) -> None:
        """Append rows, as `texts_of` returns them, to a part; parts come one after another."""
        name, number, so_far = self.shards[-1] if self.shards else ("", -1, 0)
        if name != part or self._open[0].tell() >= SHARD_BYTES:
            self.close()
            number, so_far = (number + 1 if name == part else 0), 0
            named = paths(self._output, part, number, self._host, self._type)
            for path in named:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._open = [path.open("wb") for path in named]
            self.shards.append((part, number, 0))
        for file, text in zip(self._open, texts, strict=True):
            file.write(text)
        self.shards[-1] = (part, number, so_far + rows)

    def close(self) -> None:
        """End the last file."""
        for file in self._open:
            file.close()
        self._open = []


def paths(folder: Path, part: str, number: int, host: str, content_type: str) -> list[Path]:
    """Return the files of a shard: one, or for the hold-out one of features and one of labels."""
    kinds = ("holdout", "labels") if part == "holdout" else (part,)
    ending = ".jsonl" if part == "holdout" else ".pbr" if content_type == recordio.CONTENT_TYPE else ".csv"
    return [folder / kind / f"{kind}-{number:05d}{'-' if host else ''}{host}{ending}" for kind in kinds]


def texts_of(part: str, rows: Records, settings: JobSettings) -> list[bytes]:
    """Return rows as the text of each file of a part."""
    labels: NDArray[Any] = rows.labels.astype(np.int64) if settings.classes else rows.labels
    if part != "holdout":
        as_frames = settings.content_type == recordio.CONTENT_TYPE
        return [recordio.frames(labels, rows.features) if as_frames else _csv([labels, *rows.features.T])]
    features = _csv(list(rows.features.T)).removesuffix(b"\n").replace(b"\n", b']}\n{"features":[')
    lines = zip(rows.keys.tolist(), _csv([labels]).splitlines(), strict=True)
    return [
        b'{"features":[%b]}\n' % features if len(rows) else b"",
        b"".join(b'{"row":"%016x","label":%b}\n' % line for line in lines),
    ]


def _csv(columns: list[NDArray[Any]]) -> bytes:
    """Return columns as CSV text; pyarrow writes the shortest digits that read back as the same number."""
    table = pa.table([to_arrow(column) for column in columns], names=[str(number) for number in range(len(columns))])
    text = io.BytesIO()
    pa_csv.write_csv(table, text, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return text.getvalue()
