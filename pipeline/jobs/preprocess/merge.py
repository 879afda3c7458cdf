"""The outputs of several instances -> the output that one instance would give: the checks that need every row.

Rows are known by their key and label: that two different ones share a key of 64 bits has a chance of 1 in 90,000 among
20 million (the birthday bound), and one of them is then left out.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..shared.arrow import Floats
from ..shared.errors import DataFileError
from ..shared.settings import JobSettings, read_settings
from . import recordio
from .atomic_output import atomic_output
from .baseline import Moments, in_sample
from .data_files import NO_FILE, check_limit
from .external_sort import SORT_IN_MEMORY
from .records import Keys, Numbers, Records, place_of, repeated
from .split import paths
from .summary import Index, Summary, count_labels, label_conflict


def merge(settings: Path, run: Path, output: Path) -> None:
    """Merge the run under `run`: its folders shards, train, validation, holdout and labels, of every instance.

    Writes baseline/baseline.json, and each file that has rows which another instance keeps again without these.

    Raises JobError: labels conflict, too many rows are bad or too few are left; nothing is left written then.
    """
    wanted = read_settings(settings)
    with atomic_output(output):
        shards = run / "shards"
        summaries = [Summary.load(file) for file in sorted(shards.glob("*.json"))]
        if not any(summary.files for summary in summaries):
            raise DataFileError(NO_FILE)
        read = sum(summary.read for summary in summaries)
        refused = sum(summary.refused for summary in summaries)
        faults = [fault for summary in summaries for fault in summary.faults]
        check_limit(refused, faults, read, wanted.bad_rows)
        dropped = _dropped(summaries, [Index.load(shards, summary.host) for summary in summaries], wanted)
        for summary, rows in zip(summaries, dropped, strict=True):
            _rewrite(summary, rows, run, output, wanted)
        total = Summary(
            host="",
            files=sorted(file for summary in summaries for file in summary.files),
            read=read,
            refused=refused,
            faults=faults,
            moments=sum((summary.moments for summary in summaries[1:]), summaries[0].moments),
            counts={part: np.sum([summary.counts[part] for summary in summaries], axis=0) for part in wanted.shares},
            sample=[_sample(summaries, read, wanted)],
        )
        total.finish(output, wanted)


def _dropped(summaries: list[Summary], indexes: list[Index], settings: JobSettings) -> list[Numbers]:
    """Return, for each instance, the numbers of the rows that another one keeps.

    Raises DataFileError: labels conflict.
    """
    found: list[list[Numbers]] = [[np.empty(0, np.int64)] for _ in indexes]
    conflicts = 0
    first: list[tuple[str, float]] = []
    for slices in _ranges(indexes, settings):
        keys, labels = (np.concatenate([getattr(part, name) for _, part in slices]) for name in ("keys", "labels"))
        order = _shared(keys, labels)
        if not len(order):
            continue
        sizes = [len(part.keys) for _, part in slices]
        host = np.repeat(np.arange(len(slices)), sizes)[order]
        at = order - np.concatenate(([0], np.cumsum(sizes)))[host]
        keys, labels = keys[order], labels[order]
        same_key, same_label = keys[1:] == keys[:-1], labels[1:] == labels[:-1]
        if settings.classes and (same_key & ~same_label).any():
            conflicts += int((same_key & ~same_label).sum())
            row = int(np.flatnonzero(same_key & ~same_label)[0])
            pair = [(host[twin], slices[host[twin]][1].places[at[twin]], labels[twin]) for twin in (row, row + 1)]
            first = first or sorted((place_of(summaries[on].files, int(where)), label) for on, where, label in pair)
        starts = np.flatnonzero(np.concatenate(([True], ~(same_key & same_label))))
        copies = np.diff(starts, append=len(keys))
        # The key decides which of the equal rows stays: each instance's files keep their share.
        turn = np.arange(len(keys)) - np.repeat(starts, copies)
        lost = turn != np.repeat((keys[starts] % copies.astype(np.uint64)).astype(np.int64), copies)
        for number, (offset, _) in enumerate(slices):
            found[number].append(np.sort(at[lost & (host == number)]) + offset)
    if first:
        raise label_conflict([place for place, _ in first], [label for _, label in first], conflicts, settings)
    return [np.concatenate(rows) for rows in found]


def _shared(keys: Keys, labels: Floats) -> Numbers:
    """Return the numbers of the rows whose key another one has, by key and label.

    Quick, as each instance's keys are in order, which the stable sort merges.
    """
    order: Numbers = np.argsort(keys, kind="stable")
    order = order[repeated(keys[order])]
    by_label: Numbers = order[np.lexsort((labels[order], keys[order]))]
    return by_label


def _ranges(indexes: list[Index], settings: JobSettings) -> Iterator[list[tuple[int, Index]]]:
    """Yield, range of keys by range, each instance's rows in it and the number of the first; none is empty for all."""
    size = sum(index.keys.nbytes for index in indexes)
    count = math.ceil(16 * size / max(1, settings.memory_bytes // SORT_IN_MEMORY))
    edges = np.array([number * 2**64 // count for number in range(1, count)], np.uint64)
    ends = [[0, *np.searchsorted(index.keys, edges).tolist(), len(index.keys)] for index in indexes]
    for number in range(count):
        spans = [slice(*end[number : number + 2]) for end in ends]
        if any(span.start < span.stop for span in spans):
            yield [(span.start, index[span]) for span, index in zip(spans, indexes, strict=True)]


def _rewrite(summary: Summary, rows: Numbers, run: Path, output: Path, settings: JobSettings) -> None:
    """Write an instance's files without some of its rows, and subtract these from its summary."""
    index = Index.load(run / "shards", summary.host)
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
            labels = np.asarray(index.labels[within])
            features = _features(part, [lines[0][row] for row in within - start], len(settings.features))
            summary.counts[part] -= count_labels(labels, settings)
            summary.moments -= Moments.of(np.column_stack([labels, features]))
        start += count


def _lines(content: bytes, rows: int) -> list[bytes]:
    return recordio.split(content, rows) if content.startswith(recordio.MAGIC) else content.splitlines(keepends=True)


def _features(part: str, lines: list[bytes], width: int) -> Floats:
    if lines[0].startswith(recordio.MAGIC):
        return recordio.features_of(b"".join(lines), width)
    rows = [json.loads(line)["features"] if part == "holdout" else json.loads(b"[%b]" % line)[1:] for line in lines]
    return np.array(rows, np.float64)


def _sample(summaries: list[Summary], read: int, settings: JobSettings) -> Records:
    """Return the sample that one instance would have drawn, in another order."""
    drawn = [records[in_sample(records, read, settings)].words for each in summaries for records in each.sample]
    rows = Records(np.concatenate(drawn))
    order = _shared(rows.keys, rows.labels)
    keys, labels = rows.keys[order], rows.labels[order]
    again = (keys[1:] == keys[:-1]) & (labels[1:] == labels[:-1])
    return Records(np.delete(rows.words, order[1:][again], axis=0))
