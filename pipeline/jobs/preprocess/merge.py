"""The outputs of several instances -> the output that one instance would give: the checks that need every row.

Rows are known by their key and label: that two different ones share a key of 64 bits has a chance of 1 in 90,000 among
20 million (the birthday bound), and one of them is then left out.
"""

import json
import math
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from ..shared.arrow import Floats
from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from . import recordio
from .baseline import Moments, in_sample
from .data_files import NO_FILE, check_limit
from .external_sort import SORT_IN_MEMORY
from .records import Numbers, Records, place_of, repeated
from .split import atomic_output, paths
from .summary import Summary, count_labels, label_conflict, read_index

Lost = tuple[str, Floats]  # a part, and label and features of some of its rows


def merge(settings: Path, run: Path, output: Path) -> None:
    """Merge the run under `run`: its folders shards, train, validation, holdout and labels, of every instance.

    Writes baseline/baseline.json, and each file that has rows which another instance keeps again without these.

    Raises JobError: labels conflict, too many rows are bad or too few are left; nothing is left written then.
    """
    wanted = read_settings(settings)
    with atomic_output(output):
        shards = run / "shards"
        summaries = [Summary.load(file) for file in sorted(shards.glob("*.json"))]
        total = reduce(add, summaries)
        if not total.files:
            raise JobError(NO_FILE)
        check_limit(total.refused, total.faults, total.read, wanted.bad_rows)
        for summary, rows in zip(summaries, _dropped(summaries, shards, wanted), strict=True):
            for part, lost in _rewrite(summary, rows, run, output, wanted):
                total.counts[part] -= count_labels(lost[:, 0], wanted)
                total.moments += -Moments.of(lost)
        # The sample that one instance would have drawn, in another order.
        sample = np.concatenate([rows[in_sample(rows, total.read, wanted)].words for rows in total.sample])
        total.sample = [Records(sample[np.unique(Records(sample).hashes, return_index=True)[1]])]
        total.finish(output, wanted)


def _dropped(summaries: list[Summary], shards: Path, settings: JobSettings) -> list[Numbers]:
    """Return each instance's numbers of the rows that another one keeps. Raises JobError: labels conflict."""
    found: list[list[Numbers]] = [[np.empty(0, np.int64)] for _ in summaries]
    conflicts = 0
    pair: list[tuple[str, float]] = []
    files = [shards / f"{summary.host}.index" for summary in summaries]
    for spans in _ranges([read_index(file) for file in files], settings):
        # Read anew for each range: what was mapped before no longer counts as the job's memory.
        rows = Records(np.concatenate([read_index(file).words[span] for file, span in zip(files, spans, strict=True)]))
        numbers = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        hosts = np.repeat(np.arange(len(spans)), [span.stop - span.start for span in spans])
        # Each instance's keys are in order: the stable sort merges them.
        order = np.argsort(rows.keys, kind="stable")
        order = order[repeated(rows.keys[order])]
        order = order[np.lexsort((rows.labels[order], rows.keys[order]))]
        rows, numbers, hosts = rows[order], numbers[order], hosts[order]
        hashes = rows.hashes
        same_row = hashes[1:] == hashes[:-1]
        differ = np.flatnonzero((rows.keys[1:] == rows.keys[:-1]) & ~same_row) if settings.classes else order[:0]
        if len(differ):
            conflicts += len(differ)
            twins = [(summaries[hosts[n]].files, rows.places[n], rows.labels[n]) for n in (differ[0], differ[0] + 1)]
            pair = pair or sorted((place_of(names, int(place)), label) for names, place, label in twins)
        starts = np.flatnonzero(np.append(True, ~same_row)[: len(rows)])
        copies = np.diff(starts, append=len(rows))
        # The key decides which of the equal rows stays: each instance's files keep their share.
        turn = np.arange(len(rows)) - np.repeat(starts, copies)
        lost = turn != np.repeat((rows.keys[starts] % copies.astype(np.uint64)).astype(np.int64), copies)
        for host, of_host in enumerate(found):
            of_host.append(np.sort(numbers[lost & (hosts == host)]))
    if pair:
        raise label_conflict(pair, conflicts, settings)
    return [np.concatenate(of_host) for of_host in found]


def _ranges(indexes: list[Records], settings: JobSettings) -> Iterator[tuple[slice, ...]]:
    """Return, for each range of keys, the slice of each instance's rows in it."""
    count = math.ceil(128 * sum(map(len, indexes)) / max(1, settings.memory_bytes // SORT_IN_MEMORY))
    edges = np.array([number * 2**64 // count for number in range(1, count)], np.uint64)
    ends = [[0, *np.searchsorted(index.keys, edges).tolist(), len(index)] for index in indexes]
    return zip(*(map(slice, end[:-1], end[1:]) for end in ends), strict=True)


def _rewrite(summary: Summary, rows: Numbers, run: Path, output: Path, settings: JobSettings) -> Iterator[Lost]:
    """Write an instance's files without some of its rows; yield the part, labels and features of these."""
    index = read_index(run / "shards" / f"{summary.host}.index")
    start = 0
    for part, number, count in summary.shards:
        within = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)]
        if len(within):
            keep = np.ones(count, bool)
            keep[within - start] = False
            named = (part, number, summary.host, settings.content_type)
            lines = [_lines(file.read_bytes(), count) for file in paths(run, *named)]
            for file, texts in zip(paths(output, *named), lines, strict=True):
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
