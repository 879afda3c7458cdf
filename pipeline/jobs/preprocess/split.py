"""The files of train, validation and hold-out, and whether they have enough rows."""

import errno
import io
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
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
from .encoding import RowEncoder
from .records import Records

SHARD_BYTES = 16 << 20
"""The size from which a part continues in a new file: several instances of training or transform get even shares."""
CERTAINTY = 0.99
Text = bytes | memoryview
GOLDEN = "golden"
"""The name of the file with the golden rows; those of the hold-out's rows begin otherwise."""


def check_enough(counts: dict[str, NDArray[np.int64]], source: str, settings: JobSettings) -> None:
    """Check that classes and parts have enough rows; `source` describes the data. Raises JobError."""
    names = settings.classes or (settings.target,)
    least = settings.minimum_rows_per_class
    for name, count in zip(names, np.sum(list(counts.values()), axis=0).tolist(), strict=True):
        if count < least:
            advice = f"at least {least} are wanted: add rows, or lower data.minimum_rows_per_class"
            raise JobError(f'{source}: {count} rows for "{name}", {advice}')
    # A class without rows in a part makes every later metric meaningless; R2 needs two values.
    least = 1 if settings.classes else 2
    for part, of_part in counts.items():
        for name, count in zip(names, of_part.tolist(), strict=True):
            if count < least:
                add = f"add rows ({_enough(least, settings.shares[part])} nearly always suffice)"
                advice = f"{add}, enlarge data.split.{part} or change data.split.salt"
                raise JobError(f'{part} has {count} rows for "{name}", at least {least} are wanted: {advice}')
    if (rows := counts["train"].sum()) < settings.mini_batch_size:
        advice = "add rows, or make training.hyperparameters.mini_batch_size smaller"
        raise JobError(f"train has {rows} rows, less than one mini-batch of {settings.mini_batch_size}: {advice}")


def _enough(least: int, share: float) -> int:
    """Return of how many rows, each with the chance `share`, at least one or two are in a part with CERTAINTY."""
    rows = least
    while (1 - share) ** rows + (least - 1) * rows * share * (1 - share) ** (rows - 1) > 1 - CERTAINTY:
        rows += math.ceil(rows / 100)
    return rows


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
    reads CSV, or .pbr by the settings' content type; holdout/holdout-00000.jsonl has the features, or for an encoded
    table .csv the raw rows; labels/labels-00000.jsonl has the row's key and label, line by line. With several hosts a
    name ends in the host's.
    """

    def __init__(self, output: Path, host: str, settings: JobSettings) -> None:
        self._output, self._host, self._settings = output, host, settings
        self._open: dict[str, list[BinaryIO]] = {}
        self._last: dict[str, int] = {}  # by part its last shard's place
        self.shards: list[tuple[str, int, int]] = []  # part, number and rows of each, as they were begun

    def write(self, part: str, texts: list[Text], rows: int) -> None:
        """Append rows, as `texts_of` returns them, to a part."""
        files = self._open.get(part)
        if files is None or files[0].tell() >= SHARD_BYTES:
            files = self._begin(part)
        for file, text in zip(files, texts, strict=True):
            file.write(text)
        _, number, so_far = self.shards[self._last[part]]
        self.shards[self._last[part]] = (part, number, so_far + rows)

    def _begin(self, part: str) -> list[BinaryIO]:
        number = self.shards[self._last[part]][1] + 1 if part in self._last else 0
        for file in self._open.get(part, []):
            file.close()
        named = paths(self._output, part, number, self._host, self._settings)
        for path in named:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._open[part] = [path.open("wb") for path in named]
        self._last[part] = len(self.shards)
        self.shards.append((part, number, 0))
        return self._open[part]

    def close(self) -> None:
        """End the last files, all of them even if one does not close: what it holds may not fit the disk."""
        with ExitStack() as stack:
            for file in chain(*self._open.values()):
                stack.callback(file.close)
        self._open = {}


def paths(folder: Path, part: str, number: int, host: str, settings: JobSettings) -> list[Path]:
    """Return the files of a shard: one, or for the hold-out one of features and one of labels."""
    trained = ".pbr" if settings.content_type == recordio.CONTENT_TYPE else ".csv"
    rows = ".csv" if settings.encoded else ".jsonl"
    endings = {"holdout": rows, "labels": ".jsonl"} if part == "holdout" else {part: trained}
    ending = f"-{host}" if host else ""
    return [folder / kind / f"{kind}-{number:05d}{ending}{suffix}" for kind, suffix in endings.items()]


def write_golden(settings: JobSettings, output: Path) -> None:
    """Write the golden rows beside the hold-out and in its format: batch transform scores them, and no metric does."""
    if settings.golden:
        rows = [each["row"] if settings.encoded else f'{{"features":[{each["row"]}]}}' for each in settings.golden]
        (output / "holdout").mkdir(parents=True, exist_ok=True)
        file = output / "holdout" / f"{GOLDEN}{'.csv' if settings.encoded else '.jsonl'}"
        file.write_text("\n".join([*rows, ""]), encoding="utf-8")


def texts_of(part: str, rows: Records, settings: JobSettings, encoder: RowEncoder | None) -> list[Text]:
    """Return rows as the text of each file of a part; of an encoded table with its encoder."""
    labels: NDArray[Any] = rows.labels.astype(np.int64) if settings.classes else rows.labels
    if part != "holdout":
        if settings.content_type == recordio.CONTENT_TYPE:
            return [recordio.frames(labels, encoder.encoded(rows) if encoder else rows.features)]
        return [encoder.encoded_text(labels, rows) if encoder else _csv([labels, *rows.features.T])]
    lines = zip(rows.keys.tolist(), _csv([labels]).splitlines(), strict=True)
    features = encoder.raw_text(rows) if encoder else _json_lines(rows)
    return [features, b'{"row":"%016x","label":%b}\n' * len(rows) % tuple(chain(*lines))]


def _json_lines(rows: Records) -> bytes:
    features = _csv(list(rows.features.T)).removesuffix(b"\n").replace(b"\n", b']}\n{"features":[')
    return b'{"features":[%b]}\n' % features if len(rows) else b""


def _csv(columns: list[NDArray[Any]]) -> bytes:
    """Return columns as CSV text; pyarrow writes the shortest digits that read back as the same number."""
    table = pa.table([to_arrow(column) for column in columns], names=[str(number) for number in range(len(columns))])
    text = io.BytesIO()
    pa_csv.write_csv(table, text, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return text.getvalue()
