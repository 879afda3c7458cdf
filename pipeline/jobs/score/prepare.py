"""Files to score -> the rows as the live model reads them, and their ids, shard by shard in the files' order."""

import json
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from ..preprocess.data_files import DataFiles, Quarantine, check_left, check_limit
from ..preprocess.encoding import RowEncoder
from ..preprocess.records import Records
from ..preprocess.split import SHARD_BYTES, atomic_output
from ..preprocess.text_file import SUFFIXES
from ..preprocess.validation import Rows
from ..shared.arrow import to_arrow
from ..shared.encoder import Encoder, Feature
from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from ..shared.signature import Signature, read_signature, settings_under
from .request import ScoredFile, read_request

SHARD_ROWS = 1 << 18
"""A shard of narrow rows ends here: the next job holds some shards in memory."""
MOST_LEVELS = 10_000
Converted = tuple[int, bytes, pa.RecordBatch]  # a file's number, the text of some of its rows, their ids


def prepare(settings: Path, input_: Path, request: Path, output: Path) -> None:
    """Check the files under `input_`, and write batch/, ids/ and perhaps quarantine/ to `output`.

    They are read by the settings as those of preprocessing, in the columns of `request`/signature.json and without a
    target. batch/00000-00000.csv has raw rows of the first file, ids/00000-00000.arrow the line and the ids of each,
    and ids/files.json the counts of each file. Memory does not grow with the data.

    Raises JobError: a file is not usable, too many rows are wrong, or the disk is full; nothing is left written then.
    """
    own, asked = read_settings(settings), read_request(request)
    signature = read_signature(request / "signature.json")
    wanted = reading(signature, own)
    with atomic_output(output):
        files, quarantine = DataFiles(input_, wanted), Quarantine(output / "quarantine/quarantine.jsonl", own.bad_rows)
        if others := sorted({*asked.files} - {*files.names}):
            endings = ", ".join(SUFFIXES)
            raise JobError(f"{others[0]}: its name ends in none of {endings}, .gz, .zip and .parquet: rename it")
        with closing(_Shards(output)) as shards:
            for converted in files.read(quarantine, partial(_converted, files, _passing(signature))):
                shards.write(*converted)
        check_left(len(files.files), list(files.set_aside.values()))
        if wanted.on_bad_file != "quarantine":
            check_limit(quarantine.count, quarantine.first, sum(files.rows), wanted.bad_rows)
        found = [_counts(files, quarantine, shards, number) for number in range(len(files.files))]
        if not any(each["rows"] for each in found):
            raise JobError(f"no row is left: {quarantine.first[0]}")
        shards.remove(files.set_aside)
        (output / "ids" / "files.json").write_text(json.dumps(found), encoding="utf-8")
    print(f"{sum(each['rows'] for each in found)} rows in {len(found)} file(s), {quarantine.count} wrong")


def reading(signature: Signature, settings: JobSettings) -> JobSettings:
    """Return the settings by which files to score are read: the model's columns, no target, all others ignored."""
    own = replace(settings_under(signature, settings), target="")
    others = dict.fromkeys((*settings.features, *settings.ignored_columns, settings.target, signature.target))
    ignored = tuple(name for name in others if name not in own.features)
    # Only training has to keep levels few.
    return replace(own, ignored_columns=ignored, levels=replace(settings.levels, maximum=MOST_LEVELS))


def _passing(signature: Signature) -> Encoder:
    """Return an encoder that knows no levels: the model has its own."""
    return Encoder(tuple(Feature(each.name, each.kind, imputed=True, other=True) for each in signature.features))


def _converted(files: DataFiles, passing: Encoder, number: int, rows: Rows) -> Converted:
    # With the levels that are known by now: others come with later rows.
    text = RowEncoder(passing, files.levels).raw_text(Records.of(rows.features, rows.labels, rows.lines, rows.contents))
    texts = (each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in rows.ids)
    ids = [to_arrow(rows.lines), *(pc.cast(each, pa.string()) for each in texts)]
    names = ["row", *(f"id {place}" for place in range(len(rows.ids)))]
    return number, text, pa.RecordBatch.from_arrays(ids, names)


def _counts(files: DataFiles, quarantine: Quarantine, shards: "_Shards", number: int) -> ScoredFile:
    name = files.names[number]
    if number in files.set_aside:
        return {"file": name, "rows": 0, "wrong": 0, "left_out": files.set_aside[number]}
    return {"file": name, "rows": shards.rows.get(number, 0), "wrong": quarantine.counts[name]}


class _Shards:
    """The files of the rows and of their ids; a new one begins with each input file, and when the last is large."""

    def __init__(self, output: Path) -> None:
        self._folders = [output / "batch", output / "ids"]
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        self._last, self._rows = (-1, 0), 0
        self._open: tuple[BinaryIO, pa.ipc.RecordBatchStreamWriter] | None = None
        self.rows: dict[int, int] = {}
        """Rows by the file's number."""

    def write(self, number: int, text: bytes, ids: pa.RecordBatch) -> None:
        """Append rows of the file of this number."""
        if not ids.num_rows:
            return
        shard = self._open
        if not shard or number != self._last[0] or shard[0].tell() >= SHARD_BYTES or self._rows >= SHARD_ROWS:
            shard = self._begin(number, ids.schema)
        shard[0].write(text)
        shard[1].write_batch(ids)
        self._rows += ids.num_rows
        self.rows[number] = self.rows.get(number, 0) + ids.num_rows

    def remove(self, numbers: dict[int, str]) -> None:
        """Remove what was written of these files."""
        for number in numbers:
            for folder in self._folders:
                for path in folder.glob(f"{number:05d}-*"):
                    path.unlink()

    def close(self) -> None:
        """End the last shard."""
        for file in self._open or ():
            file.close()
        self._open = None

    def _begin(self, number: int, schema: pa.Schema) -> tuple[BinaryIO, pa.ipc.RecordBatchStreamWriter]:
        self.close()
        self._last, self._rows = (number, self._last[1] + 1 if self._last[0] == number else 0), 0
        name = f"{number:05d}-{self._last[1]:05d}"
        rows, ids = self._folders
        self._open = (rows / f"{name}.csv").open("wb"), pa.ipc.new_stream(str(ids / f"{name}.arrow"), schema)
        return self._open
