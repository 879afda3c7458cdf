"""The outputs of several instances -> the output that one instance would give: the checks that need every row.

Rows are known by their key, copies too: the instance that has a row most often decides how often it counts. That two
different rows share a key of 64 bits has a chance of 1 in 90,000 among 20 million (the birthday bound), and one of them
is then left out.
"""

import json
import math
from collections.abc import Iterator
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path

import numpy as np

from ..shared.arrow import Floats
from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from . import recordio
from .baseline import Moments, in_sample
from .champion import has_own_rows, read_champion, rows_path, write_verdict
from .copies import Copies
from .data_files import NO_FILE, check_left, check_limit
from .external_sort import SORT_IN_MEMORY
from .records import LINE_BITS, Numbers, Ordered, Records, first_of_each, repeated
from .split import atomic_output, paths, write_golden
from .summary import Summary, count_labels, read_index

Lost = tuple[str, Floats]  # a part, and label and features of some of its rows


def merge(settings: Path, run: Path, output: Path, listing: Path | None = None) -> None:
    """Merge the run under `run`: its folders shards, train, validation, holdout and labels, of every instance.

    `listing` is the folder that the instances had.

    Writes baseline/baseline.json, what is known of the champion, the golden rows, and each file that has rows which
    another instance keeps again without these.

    Raises JobError: too many rows are bad or too few are left; nothing is left written then.
    """
    wanted = read_settings(settings)
    with atomic_output(output):
        shards = run / "shards"
        summaries = [Summary.load(file, wanted) for file in sorted(shards.glob("*.json"))]
        total = reduce(add, summaries)
        if not total.files:
            raise JobError(NO_FILE)
        check_left(len(total.files), total.left_out)
        check_limit(total.refused, total.faults, total.read, wanted.bad_rows)
        counted = Copies(by_id=bool(wanted.id_columns))
        champion = read_champion(listing, wanted)
        scored = has_own_rows(champion, wanted) and not total.incomparable
        for summary, rows in zip(summaries, _dropped(summaries, shards, counted, wanted), strict=True):
            for part, lost in _rewrite(summary, rows, run, output, wanted, scored=scored):
                total.counts[part] -= count_labels(lost[:, 0], wanted)
                total.moments += -Moments.of(lost)
        total.replaced += counted.replaced
        # The sample that one instance would have drawn, in another order.
        for some, order in zip(total.sample, _orders(summaries), strict=True):
            _in_order(some, order, wanted)
        sample = Records(np.concatenate([rows[in_sample(rows, total.read, wanted)].words for rows in total.sample]))
        sample = sample[sample.order()]
        total.sample = [sample[np.append(sample.keys[1:] != sample.keys[:-1], True)[: len(sample)]]]
        total.finish(output, wanted)
        write_verdict(champion, next(iter(total.incomparable), ""), wanted, output)
        write_golden(wanted, output)


def _dropped(summaries: list[Summary], shards: Path, counted: Copies, settings: JobSettings) -> list[Numbers]:
    """Return each instance's numbers of the rows that another one keeps; with ids, `counted` counts those replaced."""
    found: list[list[Numbers]] = [[np.empty(0, np.int64)] for _ in summaries]
    files, orders = [shards / f"{summary.host}.index" for summary in summaries], _orders(summaries)
    for spans in _ranges([read_index(file) for file in files], settings):
        # Read anew for each range: what was mapped before no longer counts as the job's memory.
        parts = [Records(np.array(read_index(file).words[span])) for file, span in zip(files, spans, strict=True)]
        for part, order in zip(parts, orders, strict=True):
            _in_order(part, order, settings)
        rows = Records(np.concatenate([part.words for part in parts]))
        numbers = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        hosts = np.repeat(np.arange(len(spans)), [span.stop - span.start for span in spans])
        # Each instance's keys are in order: the stable sort merges them.
        order = np.argsort(rows.keys, kind="stable")
        order = order[repeated(rows.keys[order])]
        order = order[np.lexsort((rows.places[order], rows.keys[order]))]
        rows, numbers, hosts = rows[order], numbers[order], hosts[order]
        counted.once(Ordered(rows, np.arange(len(rows))))
        starts = np.flatnonzero(first_of_each(rows.keys))
        copies = np.diff(starts, append=len(rows))
        # With ids the newest stays. Else the key decides which of equal rows: each instance's files keep their share.
        kept = copies - 1 if settings.id_columns else (rows.keys[starts] % copies.astype(np.uint64)).astype(np.int64)
        lost = np.arange(len(rows)) - np.repeat(starts, copies) != np.repeat(kept, copies)
        for host, of_host in enumerate(found):
            of_host.append(np.sort(numbers[lost & (hosts == host)]))
    return [np.concatenate(of_host) for of_host in found]


def _orders(summaries: list[Summary]) -> list[Numbers]:
    """Return of each instance the place of each file among those of all in the order of upload."""
    places = {upload: place for place, upload in enumerate(sorted(chain(*(one.uploads for one in summaries))))}
    return [np.array([places[upload] for upload in summary.uploads], np.int64) for summary in summaries]


def _in_order(rows: Records, order: Numbers, settings: JobSettings) -> None:
    """With ids, number the files in the places of an instance's rows as `_orders` does."""
    if settings.id_columns and len(rows):
        files = rows.places >> LINE_BITS
        rows.places[:] += (order[files] - files) << LINE_BITS


def _ranges(indexes: list[Records], settings: JobSettings) -> Iterator[tuple[slice, ...]]:
    """Return, for each range of keys, the slice of each instance's rows in it."""
    count = math.ceil(128 * sum(map(len, indexes)) / max(1, settings.memory_bytes // SORT_IN_MEMORY))
    edges = np.array([number * 2**64 // count for number in range(1, count)], np.uint64)
    ends = [[0, *np.searchsorted(index.keys, edges).tolist(), len(index)] for index in indexes]
    return zip(*(map(slice, end[:-1], end[1:]) for end in ends), strict=True)


def _rewrite(
    summary: Summary, rows: Numbers, run: Path, output: Path, settings: JobSettings, *, scored: bool
) -> Iterator[Lost]:
    """Write an instance's files without some of its rows; yield the part, labels and features of these.

    With `scored`, the hold-out has files in the champion's columns, too.
    """
    index = read_index(run / "shards" / f"{summary.host}.index")
    start = 0
    for part, number, count in summary.shards:
        within = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)]
        if len(within):
            keep = np.ones(count, bool)
            keep[within - start] = False
            old, new = (paths(folder, part, number, summary.host, settings) for folder in (run, output))
            if scored and part == "holdout":
                old, new = ([*of, rows_path(to, number, summary.host)] for of, to in ((old, run), (new, output)))
            lines = [_lines(file.read_bytes(), count) for file in old]
            for file, texts in zip(new, lines, strict=True):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"".join(text for text, kept in zip(texts, keep, strict=True) if kept))
            features = _features(part, [lines[0][row] for row in within - start], len(settings.features))
            yield part, np.column_stack([index.labels[within], features])
        start += count


def _lines(content: bytes, rows: int) -> list[bytes]:
    if not content.startswith(recordio.MAGIC):
        return content.splitlines(keepends=True)
    size = len(content) // rows
    return [content[start : start + size] for start in range(0, len(content), size)]


def _features(part: str, lines: list[bytes], width: int) -> Floats:
    if lines[0].startswith(recordio.MAGIC):
        return recordio.features_of(b"".join(lines), width)
    rows = [json.loads(line)["features"] if part == "holdout" else json.loads(b"[%b]" % line)[1:] for line in lines]
    return np.array(rows, np.float64)
