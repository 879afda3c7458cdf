"""Raw data -> train, validation and hold-out in the formats that the algorithm reads, and a baseline of the data."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from .baseline import Moments, in_sample
from .data_files import NO_FILE, DataFiles, Quarantine, check_limit, parallel_map
from .external_sort import SORT_IN_MEMORY, ExternalSort
from .records import Records, place_of
from .split import SplitWriter, atomic_output, distinct, split, texts_of
from .summary import Summary, count_labels, label_conflict

ROWS_AT_A_TIME = 8192
Block = tuple[str, Records]  # a part, and some of its rows


def preprocess(
    settings: Path, input_: Path, output: Path, resources: Path | None = None, listing: Path | None = None
) -> None:
    """Check every .csv, .csv.gz and .parquet file under `input_`, and write the parts and the baseline to `output`.

    Two passes: the first reads and checks all rows, the second takes them in the order of their keys
    (external_sort.py), so memory does not grow with the data. The quarantine's file has bad rows within the limit.

    With `resources`, a job's resourceconfig.json, this is one of several instances: its files' names end in its host's,
    merge.py makes the checks that need every row, and shards/ holds what it needs for them.

    Raises JobError: the settings or the data are not usable, or the disk is full; nothing is left written then.
    """
    wanted = read_settings(settings)
    with atomic_output(output):
        files = DataFiles(input_, wanted)
        if resources is not None:
            host = json.loads(resources.read_text(encoding="utf-8"))["current_host"]
            summary = write_parts(files, output, host)
            summary.save(output / "shards")
            kept = sum(rows for _, _, rows in summary.shards)
            print(f"{host}: {summary.read} rows in {len(summary.files)} file(s), {kept} of them kept")
        elif files.files:
            write_parts(files, output, "").finish(output, wanted)
        else:
            raise JobError(f"{input_}: {NO_FILE}")


def write_parts(files: DataFiles, output: Path, host: str) -> Summary:
    """Read the rows, write those of the parts and of the quarantine, and return a summary. Raises JobError."""
    settings = files.settings
    ending = f"-{host}" if host else ""
    quarantine = Quarantine(output / "quarantine" / f"quarantine{ending}.jsonl", settings.bad_rows)
    memory = max(1, settings.memory_bytes // SORT_IN_MEMORY)
    with ExternalSort(output / "train", 3 + len(settings.features), memory) as rows_by_key:
        for records in files.records(quarantine):
            rows_by_key.add(records)
        if not host:
            files.check_left()
            check_limit(quarantine.count, quarantine.first, sum(files.rows), settings.bad_rows)
        moments = Moments.of(np.empty((0, 1 + len(settings.features))))
        counts = {part: count_labels(np.empty(0), settings) for part in settings.shares}
        summary = Summary(host, files.names, sum(files.rows), quarantine.count, quarantine.first, moments, counts)
        index: BinaryIO | None = None
        if host:
            (output / "shards").mkdir(parents=True, exist_ok=True)
            index = rows_by_key.enter_context((output / "shards" / f"{host}.index").open("wb"))
        with closing(SplitWriter(output, host, settings.content_type)) as writer:
            blocks = _blocks(rows_by_key, summary, index, settings)
            for part, rows, texts, of_rows in parallel_map(partial(_written, settings), blocks):
                writer.write(part, texts, rows)
                summary.moments += of_rows
        summary.shards = writer.shards
    return summary


def _blocks(sort: ExternalSort, summary: Summary, index: BinaryIO | None, settings: JobSettings) -> Iterator[Block]:
    """Yield every row to keep, some of a part at a time; raise JobError at the end if labels conflict."""
    conflicts, pair = 0, Records(np.empty((0, 3)))
    for group in sort.groups():
        rows, count, first = distinct(group, settings)
        pair = pair if conflicts else first[np.argsort(first.places)]
        conflicts += count
        if conflicts:
            continue
        if index is not None:
            index.write(rows.words[:, :3].tobytes())
        summary.sample.append(rows[in_sample(rows, summary.read, settings)])
        for part, of_part in split(rows, settings):
            summary.counts[part] += count_labels(of_part.labels, settings)
            for start in range(0, len(of_part), ROWS_AT_A_TIME):
                yield part, of_part[start : start + ROWS_AT_A_TIME]
    if conflicts:
        places = [place_of(summary.files, place) for place in pair.places.tolist()]
        raise label_conflict(list(zip(places, pair.labels, strict=True)), conflicts, settings)


def _written(settings: JobSettings, block: Block) -> tuple[str, int, list[bytes], Moments]:
    part, rows = block
    return part, len(rows), texts_of(part, rows, settings), Moments.of(rows.words[:, 2:])
