"""The model's answers beside the ids of their rows -> a file per input file, in the format that its name says."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..evaluate.predictions import read_predictions
from ..preprocess.encoding import lines_of
from ..preprocess.parallel import parallel_map
from ..preprocess.split import atomic_output
from ..shared.arrow import to_arrow
from ..shared.errors import JobError
from ..shared.metrics import Predictions
from ..shared.settings import JobSettings, read_settings
from ..shared.signature import read_signature
from .contributions import Contributions
from .prepare import reading
from .request import ScoredFile, read_request

SPECIAL = '[",\t\r\n]'
"""Text with one of these signs is quoted."""
LEFT_OUT = ".left-out"
"""Follows the name of a file without scored rows: it is not taken for a new one again (lambdas/trigger/scoring.py)."""


def join(
    settings: Path,
    request: Path,
    ids: Path,
    answers: Path,
    output: Path,
    *,
    batch: Path | None = None,
    explanation: Path | None = None,
) -> None:
    """Write scored/ with a file per input file, or why it has no scored rows, and counts/counts.json, to `output`.

    `ids` is what the job prepare wrote, `answers` what the transform job did. A row has its line in the file, its ids,
    the label (not of regression), the score, or one per class, and the version of the model package. With the prepared
    rows in `batch` and the folder `explanation` of explanation.json it also has the features that contribute most.

    Raises JobError: the answers do not fit the rows, or the disk is full; nothing is left written then.
    """
    asked, own = read_request(request), read_settings(settings)
    model = reading(read_signature(request / "signature.json"), own)
    effects = Contributions.read(batch, explanation, asked.contributions) if batch and explanation else None
    answered = _Answered(model, ids, answers, own.id_columns, asked.version, effects)
    found: list[ScoredFile] = json.loads((ids / "files.json").read_text(encoding="utf-8"))
    # Not in the output's folder before they are complete: of a job that is killed it may be uploaded.
    with atomic_output(output), tempfile.TemporaryDirectory(dir=output.parent) as unfinished:
        for number, each in enumerate(found):
            if each["rows"]:
                each["scored"] = asked.files[each["file"]]
                shards = sorted(path.stem for path in ids.glob(f"{number:05d}-*.arrow"))
                _write(Path(unfinished) / str(number), each["scored"], parallel_map(answered.table, shards))
            else:
                (Path(unfinished) / str(number)).write_text(each.get("left_out", "no row is valid"), encoding="utf-8")
        for number, each in enumerate(found):
            final = output / "scored" / each.get("scored", asked.files[each["file"]] + LEFT_OUT)
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(unfinished) / str(number), final)
        counts = {"rows": sum(each["rows"] for each in found), "wrong": sum(each["wrong"] for each in found)}
        (output / "counts").mkdir(parents=True, exist_ok=True)
        (output / "counts" / "counts.json").write_text(json.dumps({**counts, "files": found}), encoding="utf-8")
    print(f"{counts['rows']} rows of {len(found)} file(s) scored by version {asked.version}")


@dataclass(frozen=True)
class _Answered:
    """The rows with their answers, shard by shard."""

    model: JobSettings
    ids: Path
    answers: Path
    id_columns: tuple[str, ...]
    version: int
    contributions: Contributions | None

    def table(self, shard: str) -> pa.Table:
        """Return the rows of a shard. Raises JobError: not each has an answer."""
        with pa.memory_map(str(self.ids / f"{shard}.arrow")) as file:
            known = pa.ipc.open_stream(file).read_all().combine_chunks()
        answers = read_predictions(self.answers, self.model, shard)
        if len(answers.scores) != len(known):
            raise JobError(f"{shard}: {len(answers.scores)} answers for {len(known)} rows: score the file again")
        columns: dict[str, pa.Array] = {"row": known.column(0).combine_chunks()}
        columns |= {name: known.column(place).combine_chunks() for place, name in enumerate(self.id_columns, 1)}
        for name, column in self._answer(shard, answers).items():
            columns[name if name not in self.id_columns else f"model_{name}"] = column
        return pa.table(columns)

    def _answer(self, shard: str, answers: Predictions) -> dict[str, pa.Array]:
        columns, rows = {}, len(answers.scores)
        if answers.classes is not None:
            columns["label"] = pa.array(self.model.classes, pa.string()).take(pa.array(answers.classes))
        if self.model.score_width:
            by_class = zip(self.model.classes, answers.scores.T, strict=True)
            columns |= {f"score {name}": to_arrow(scores) for name, scores in by_class}
        else:
            columns["score"] = to_arrow(answers.scores)
        columns["model_version"] = to_arrow(np.full(rows, self.version, np.int64))
        return columns | (self.contributions.columns(shard, answers) if self.contributions else {})


def _write(path: Path, name: str, tables: Iterator[pa.Table]) -> None:
    """Write the rows of a file in the format that its `name` says."""
    if name.lower().endswith(".parquet"):
        # Not at the top: it is slow to import, and most data is CSV.
        import pyarrow.parquet as pq  # noqa: PLC0415

        first = next(tables)
        with pq.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        return
    separator = "\t" if name.lower().removesuffix(".gz").endswith(".tsv") else ","
    # Without a name and a time, the same rows give the same bytes.
    packed = partial(gzip.GzipFile, filename="", mode="wb", compresslevel=6, mtime=0)
    with path.open("wb") as file, packed(fileobj=file) if name.lower().endswith(".gz") else file as text:
        for number, table in enumerate(tables):
            if not number:
                header = [_quoted(pa.array([name], pa.string())) for name in table.column_names]
                text.write(lines_of(header, separator))
            text.write(lines_of([_text(table.column(name).combine_chunks()) for name in table.column_names], separator))


def _text(column: pa.Array) -> pa.Array:
    return _quoted(column) if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def _quoted(column: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(column, SPECIAL)
    if not pc.any(special).as_py():
        return column
    doubled = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(special, doubled, column)
