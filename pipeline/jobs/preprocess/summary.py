"""The summary of the rows that an instance has read: enough to check and describe those of all instances together."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.documents import Baseline, Categories
from ..shared.errors import JobError
from ..shared.settings import JobSettings
from .baseline import Moments, baseline
from .contradictions import Contradictions
from .records import Records
from .split import check_enough


@dataclass
class Summary:
    """Counts and statistics, added up while rows are processed."""

    host: str
    uploads: list[tuple[str, str]]  # time and name of each file, in order
    left_out: list[str]  # the reason of each of these files that was set aside
    read: int
    refused: int
    faults: list[str]  # the faults of the first bad rows
    replaced: int
    contradictions: Contradictions
    moments: Moments  # of the label and the features of each row kept
    counts: dict[str, NDArray[np.int64]]  # rows kept by part and class
    sample: list[Records] = field(default_factory=list)
    shards: list[tuple[str, int, int]] = field(default_factory=list)
    """Part, number and rows of each file of a part, in the order of the rows' keys."""

    @property
    def files(self) -> list[str]:
        """The files' names."""
        return [name for _, name in self.uploads]

    def __add__(self, other: "Summary") -> "Summary":
        sums = {name: value + getattr(other, name) for name, value in vars(self).items() if name != "counts"}
        return Summary(**sums, counts={part: count + other.counts[part] for part, count in self.counts.items()})

    def save(self, folder: Path) -> None:
        """Write it to HOST.json, HOST.sample.npy and HOST.contradictions.npy."""
        folder.mkdir(parents=True, exist_ok=True)
        none = np.empty((0, 2 + len(self.moments.mean)))
        np.save(folder / f"{self.host}.sample.npy", np.concatenate([none, *(rows.words for rows in self.sample)]))
        np.save(folder / f"{self.host}.contradictions.npy", self.contradictions.table())
        limit = self.contradictions.limit
        document = {**vars(self), "sample": None, "moments": vars(self.moments), "contradictions": limit}
        text = json.dumps(document, default=lambda array: array.tolist())
        (folder / f"{self.host}.json").write_text(text, encoding="utf-8")

    @staticmethod
    def load(file: Path, settings: JobSettings) -> "Summary":
        """Return what `save` wrote to HOST.json and beside it."""
        document = json.loads(file.read_text(encoding="utf-8"))
        document["moments"] = Moments(**{name: np.array(value) for name, value in document["moments"].items()})
        document["counts"] = {part: np.array(counts) for part, counts in document["counts"].items()}
        document["uploads"] = [(time, name) for time, name in document["uploads"]]
        document["sample"] = [Records(np.load(file.with_suffix(".sample.npy")))]
        document["contradictions"] = Contradictions.none(settings, document["contradictions"])
        document["contradictions"].add(np.load(file.with_suffix(".contradictions.npy")))
        return Summary(**document)

    def finish(self, output: Path, settings: JobSettings, categories: dict[str, Categories] | None = None) -> None:
        """Write baseline/baseline.json, and print the counts of rows. Raises JobError: there are too few."""
        read = f"{self.read} rows in {len(self.files)} file(s)"
        sizes = {part: int(count.sum()) for part, count in self.counts.items()}
        try:
            check_enough(self.counts, f"{read}, first {min(self.files)}", settings)
        except JobError as error:
            again = self.read - self.refused - sum(sizes.values())
            if not settings.id_columns or again <= self.read / 2:
                raise
            ids = ", ".join(settings.id_columns)
            fault = f"{again} of {self.read} rows have the same {ids} as a later row, which replaces them"
            advice = f"if {ids} does not name a row, move it from data.id_columns to data.ignored_columns"
            raise JobError(f"{error}; {fault}: {advice}") from error
        counts = {
            "refused": self.refused,
            "repeated": self.read - self.refused - self.replaced - sum(sizes.values()),
            "replaced": self.replaced,
            "contradicting": self.contradictions.count(),
        }
        document: Baseline = {"rows": {"read": self.read, **counts, **sizes}, "features": {**(categories or {})}}
        if self.left_out:
            document["left_out"] = self.left_out
        if settings.classes:
            document["labels"] = _by_class(np.sum(list(self.counts.values()), axis=0), settings)
            document["parts"] = {part: _by_class(count, settings) for part, count in self.counts.items()}
        sample = Records(np.concatenate([records.words for records in self.sample]))
        document = baseline(document, self.moments, sample, settings)
        (output / "baseline").mkdir(parents=True, exist_ok=True)
        (output / "baseline" / "baseline.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        less = "".join(f", {count} {name}" for name, count in counts.items() if count)
        less += f", {len(self.left_out)} file(s) left out" if self.left_out else ""
        print(f"{read}{less}: {', '.join(f'{name} {size}' for name, size in sizes.items())}")


def _by_class(counts: NDArray[np.int64], settings: JobSettings) -> dict[str, int]:
    return dict(zip(settings.classes, counts.tolist(), strict=True))


def read_index(file: Path) -> Records:
    """Return the rows that an instance keeps in the order of keys, with a hash for the features; read as needed."""
    # An empty file cannot be mapped.
    words = np.memmap(file, np.float64, "r") if file.stat().st_size else np.empty(0)
    return Records(words.reshape(-1, 4))


def count_labels(labels: Floats, settings: JobSettings) -> NDArray[np.int64]:
    """Return how many rows each class has (shape (classes,)), or one count of all for regression."""
    if not settings.classes:
        return np.array([len(labels)])
    return np.bincount(labels.astype(np.int64), minlength=len(settings.classes))
