"""Raw data -> train, validation and hold-out in the formats that the algorithm reads, and a baseline of the data."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..shared.errors import JobError
from ..shared.settings import JobSettings, read_settings
from ..shared.signature import signature_of
from . import contradictions
from .baseline import Moments, in_sample
from .champion import read_champion, write_rows, write_verdict
from .data_files import NO_FILE, DataFiles, Quarantine, check_left, check_limit, upload_times
from .encoding import NUMBER_BYTES, RowEncoder, write_model
from .learning import Learner
from .parallel import parallel_map
from .parts import SMALL, Parts, parts_of
from .records import Keys, Ordered, Records
from .sorted_rows import ROWS_AT_A_TIME, SortedRows
from .split import SplitWriter, Text, atomic_output, texts_of, write_golden
from .summary import Summary, count_labels

TEXT_AT_A_TIME = 3 << 20
"""About so many bytes are written at a time: the text of wide rows would be arrays of pages of their own
(map_large_arrays), which take longer to get than to fill."""
Block = tuple[str, Ordered]  # a part, and some of its rows


@dataclass(frozen=True)
class Written:
    """Some rows of a part as the text of each of its files, and what is counted of them."""

    part: str
    texts: list[Text]
    counts: NDArray[np.int64]
    moments: Moments
    sample: Records
    pairs: Keys | None


def preprocess(
    settings: Path, input_: Path, output: Path, resources: Path | None = None, listing: Path | None = None
) -> None:
    """Check every file under `input_`, and write the parts, the encoder, the signature and the baseline to `output`.

    The golden rows of the settings go beside the hold-out; nothing counts them.

    The first pass reads and checks all rows. The second looks for those that count more than once (external_sort.py),
    and learns the encoder; the third writes them in the order of their keys. Memory does not grow with the data. The
    quarantine's file has bad rows within the limit.

    With `resources`, a job's resourceconfig.json, this is one of several instances: its files' names end in its host's,
    merge.py makes the checks that need every row, and shards/ holds what it needs for them. `listing`, listing.json or
    its folder, has the objects of the data in order of time; without it files count as uploaded in the order of names.
    The folder also has champion.json, the signature of the live model if it is not the settings': champion/ then gets
    the hold-out in its columns, and says whether it can be compared.

    Raises JobError: the settings or the data are not usable, or the disk is full; nothing is left written then.
    """
    wanted = read_settings(settings)
    with atomic_output(output):
        files, champion = DataFiles(input_, wanted, upload_times(listing)), read_champion(listing, wanted)
        if resources is not None:
            host = json.loads(resources.read_text(encoding="utf-8"))["current_host"]
            summary, learner = write_parts(files, output, host)
            summary.incomparable += filter(None, [write_rows(champion, files, summary, learner.parts, output)])
            summary.save(output / "shards")
            kept = sum(rows for _, _, rows in summary.shards)
            print(f"{host}: {summary.read} rows in {len(summary.files)} file(s), {kept} of them kept")
        elif files.files:
            summary, learner = write_parts(files, output, "")
            summary.finish(output, wanted, learner.categories())
            write_verdict(champion, write_rows(champion, files, summary, learner.parts, output), wanted, output)
            write_golden(wanted, output)
        else:
            raise JobError(f"{input_}: {NO_FILE}")
        signature = signature_of(wanted)
        (output / "signatures").mkdir(exist_ok=True)
        (output / "signatures" / f"{signature.name}.json").write_text(signature.to_json(), encoding="utf-8")


def write_parts(files: DataFiles, output: Path, host: str) -> tuple[Summary, Learner]:
    """Read the rows, write those of the parts and of the quarantine, and return a summary. Raises JobError."""
    settings = files.settings
    ending = f"-{host}" if host else ""
    quarantine = Quarantine(output / "quarantine" / f"quarantine{ending}.jsonl", settings.bad_rows)
    with SortedRows(output / "train", files) as rows_by_key:
        rows_by_key.read(quarantine)
        left_out = list(files.set_aside.values())
        if not host:
            check_left(len(files.files), left_out)
            check_limit(quarantine.count, quarantine.first, sum(files.rows), settings.bad_rows)
        parts = Parts(settings)
        if not host and settings.classes and 0 < sum(files.rows) <= SMALL:
            parts = parts_of((files.kept(group.load()) for group in rows_by_key.groups()), settings)
        learner = Learner(parts, files.levels, sum(files.rows))
        if settings.encoded:
            for rows in rows_by_key.looked_at():
                learner.add(rows)
        else:
            rows_by_key.add_copies()
        summary = Summary(
            host=host,
            uploads=files.uploads,
            left_out=left_out,
            read=sum(files.rows),
            refused=quarantine.count,
            faults=quarantine.first,
            replaced=0,
            contradictions=contradictions.Contradictions.none(settings),
            moments=Moments.of(np.empty((0, 1 + len(settings.features)))),
            counts={part: count_labels(np.empty(0), settings) for part in settings.shares},
            sample=[],
        )
        encoder = None
        if settings.encoded and summary.read > summary.refused:
            encoder = RowEncoder(learner.encoder(), files.levels)
            write_model(encoder.encoder, output / "encoder")
        index: BinaryIO | None = None
        if host:
            (output / "shards").mkdir(parents=True, exist_ok=True)
            index = rows_by_key.enter_context((output / "shards" / f"{host}.index").open("wb"))
        with closing(SplitWriter(output, host, settings)) as writer:
            width = encoder.width if encoder else NUMBER_BYTES * (1 + len(settings.features))
            most = max(1, min(ROWS_AT_A_TIME, TEXT_AT_A_TIME // width))
            blocks = _blocks(rows_by_key.last(), index, parts, most)
            for each in parallel_map(partial(_written, settings, encoder, summary), blocks):
                writer.write(each.part, each.texts, int(each.counts.sum()))
                summary.counts[each.part] += each.counts
                summary.moments += each.moments
                summary.sample.append(each.sample)
                if each.pairs is not None:
                    summary.contradictions.add(each.pairs)
        summary.shards, summary.replaced = writer.shards, rows_by_key.replaced
    return summary, learner


def _blocks(groups: Iterator[Ordered], index: BinaryIO | None, parts: Parts, most: int) -> Iterator[Block]:
    """Yield every row to keep, at most `most` of a part at a time."""
    for rows in groups:
        if index is not None:
            moved = rows.moved()
            hashes = contradictions.feature_hashes(moved).view(np.float64)
            index.write(np.column_stack([moved.words[:, :3], hashes]).tobytes())
        for part, of_part in parts.split(rows):
            for start in range(0, len(of_part), most):
                yield part, of_part[start : start + most]


def _written(settings: JobSettings, encoder: RowEncoder | None, summary: Summary, block: Block) -> Written:
    part, rows = block[0], block[1].moved()
    return Written(
        part,
        texts_of(part, rows, settings, encoder),
        count_labels(rows.labels, settings),
        Moments.of(rows.words[:, 2:]),
        rows[in_sample(rows, summary.read, settings)],
        summary.contradictions.of(encoder.settled(rows) if encoder else rows) if settings.classes else None,
    )
