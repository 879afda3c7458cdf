"""Raw data -> train, validation and hold-out in the forms the algorithm reads, and a baseline of the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from ahead import ahead
from baseline import in_sample
from job_settings import JobSettings, read_settings
from moments import Moments
from parts import Parts, texts_of
from problems import TableError
from quarantine import Quarantine, check_budget
from records import Records, spot
from sources import NO_FILE, Source
from spill import SPILL_IN_MEMORY, Spill
from split import Clashes, distinct, split
from summary import Index, Summary, clash, count_labels
from undo import undone_on_failure

ROWS_AT_A_TIME = 8192


def run(settings: Path, source: Path, output: Path, resources: Path | None = None) -> None:
    """Check every .csv, .csv.gz and .parquet file under `source`, and write the parts and the baseline to `output`.

    Two passes: the first reads and checks all rows, the second takes them in the order of their keys (spill.py), so
    memory does not grow with the data. Wrong rows within the settings' budget go to quarantine/quarantine.jsonl.

    With `resources`, a job's resourceconfig.json, this is one of several instances: its files' names end in its host's,
    what needs the rows of all is left to merge.py, and what that needs to know is written to shards/.

    Raises:
        JobError: the settings or the data are not usable, or the disk is full; nothing is left written then.
    """
    wanted = read_settings(settings)
    with undone_on_failure(output):
        found = Source(source, wanted)
        if resources is not None:
            host = json.loads(resources.read_text(encoding="utf-8"))["current_host"]
            summary = prepared(found, output, host)
            summary.save(output / "shards")
            print(f"{host}: {summary.read} rows in {len(summary.files)} file(s), {summary.kept} of them kept")
        elif found.files:
            prepared(found, output, "").finish(output, wanted)
        else:
            raise TableError(f"{source}: {NO_FILE}")


def prepared(source: Source, output: Path, host: str) -> Summary:
    """Read the rows, write those of the parts and of the quarantine, and return what is known of them.

    Raises:
        TableError: the data are not usable.
    """
    settings = source.settings
    ending = f"-{host}" if host else ""
    quarantine = Quarantine(output / "quarantine" / f"quarantine{ending}.jsonl", settings.bad_rows)
    memory = max(1, settings.memory_bytes // SPILL_IN_MEMORY)
    with Spill(output / "train", 3 + len(settings.features), memory) as spill:
        for records in source.records(quarantine):
            spill.add(records)
        if not host:
            check_budget(quarantine.count, quarantine.first, sum(source.rows), settings.bad_rows)
        summary = Summary(
            host=host,
            files=source.names,
            read=sum(source.rows),
            refused=quarantine.count,
            faults=quarantine.first,
            moments=Moments.of(np.empty((0, 1 + len(settings.features)))),
            counts={part: count_labels(np.empty(0), settings) for part in settings.shares},
        )
        parts = Parts(output, host, settings.content_type)
        with closing(parts), Index.writer(output / "shards", host) as index:
            ordered = _ordered(spill, summary, index, settings)
            for part, rows, texts, moments in ahead(partial(_written, settings), ordered):
                parts.write(part, texts, rows)
                summary.moments += moments
        summary.shards = parts.shards
    return summary


def _ordered(
    spill: Spill, summary: Summary, index: Callable[[Records], None], settings: JobSettings
) -> Iterator[tuple[str, Records]]:
    """Yield every row to keep, some of a part at a time; raise TableError after all if labels clash."""
    clashes: list[Clashes] = []
    for group in spill.groups():
        rows, clashing = distinct(group, settings)
        if clashing.count:
            clashes.append(clashing)
        if clashes:
            continue
        index(rows)
        summary.sample.append(rows[in_sample(rows, summary.read, settings)])
        for part, of_part in split(rows, settings):
            summary.counts[part] += count_labels(of_part.labels, settings)
            for block in of_part.blocks(ROWS_AT_A_TIME):
                yield part, block
    if clashes:
        pair = clashes[0].first[np.argsort(clashes[0].first.places)]
        one, other = [spot(summary.files, place) for place in pair.places.tolist()]
        raise clash((one, pair.labels[0]), (other, pair.labels[1]), sum(found.count for found in clashes), settings)


def _written(settings: JobSettings, given: tuple[str, Records]) -> tuple[str, int, list[bytes], Moments]:
    part, rows = given
    return part, len(rows), texts_of(part, rows, settings), Moments.of(rows.words[:, 2:])
