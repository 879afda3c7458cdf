"""The summary of the rows that an instance has read: enough to check and describe those of all instances together."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..shared.arrow import Floats
from ..shared.errors import JobError
from ..shared.settings import JobSettings
from .baseline import Moments, baseline
from .records import Records
from .split import check_enough


@dataclass
class Summary:
    """Counts and statistics, added up while rows are processed."""

    host: str
    files: list[str]
    read: int
    refused: int
    faults: list[str]  # the faults of the first bad rows
    moments: Moments  # of the label and the features of each row kept
    counts: dict[str, NDArray[np.int64]]  # rows kept by part and class
    sample: list[Records] = field(default_factory=list)
    shards: list[tuple[str, int, int]] = field(default_factory=list)
    """Part, number and rows of each file of a part, in the order of the rows' keys."""

    def __add__(self, other: "Summary") -> "Summary":
        sums = {name: value + getattr(other, name) for name, value in vars(self).items() if name != "counts"}
        return Summary(**sums, counts={part: count + other.counts[part] for part, count in self.counts.items()})

    def save(self, folder: Path) -> None:
        """Write it to HOST.json and HOST.sample.npy."""
        folder.mkdir(parents=True, exist_ok=True)
        none = np.empty((0, 2 + len(self.moments.mean)))
        np.save(folder / f"{self.host}.sample.npy", np.concatenate([none, *(rows.words for rows in self.sample)]))
        document = {**vars(self), "sample": None, "moments": vars(self.moments)}
        text = json.dumps(document, default=lambda array: array.tolist())
        (folder / f"{self.host}.json").write_text(text, encoding="utf-8")

    @staticmethod
    def load(file: Path) -> "Summary":
        """Return what `save` wrote to HOST.json and beside it."""
        document = json.loads(file.read_text(encoding="utf-8"))
        count = document["moments"].pop("count")
        document["moments"] = Moments(count, **{name: np.array(value) for name, value in document["moments"].items()})
        document["counts"] = {part: np.array(counts) for part, counts in document["counts"].items()}
        document["sample"] = [Records(np.load(file.with_suffix(".sample.npy")))]
        return Summary(**document)

    def finish(self, output: Path, settings: JobSettings) -> None:
        """Write baseline/baseline.json, and print the counts of rows. Raises JobError: there are too few."""
        read = f"{self.read} rows in {len(self.files)} file(s)"
        check_enough(self.counts, f"{read}, first {min(self.files)}", settings)
        sizes = {part: int(count.sum()) for part, count in self.counts.items()}
        dropped = self.read - self.refused - sum(sizes.values())
        rows = {"read": self.read, "refused": self.refused, "duplicates_dropped": dropped, **sizes}
        labels = np.sum(list(self.counts.values()), axis=0)
        sample = Records(np.concatenate([records.words for records in self.sample]))
        document = baseline(rows, labels, self.moments, sample, settings)
        (output / "baseline").mkdir(parents=True, exist_ok=True)
        (output / "baseline" / "baseline.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        refused = f"{self.refused} of them refused, " if self.refused else ""
        counted = ", ".join(f"{name} {size}" for name, size in sizes.items())
        print(f"{read}, {refused}each different one once: {counted}")


def read_index(file: Path) -> Records:
    """Return the rows that an instance keeps, without features, in the order of keys; read from disk as needed."""
    # An empty file cannot be mapped.
    words = np.memmap(file, np.float64, "r") if file.stat().st_size else np.empty(0)
    return Records(words.reshape(-1, 3))


def count_labels(labels: Floats, settings: JobSettings) -> NDArray[np.int64]:
    """Return how many rows each class has (shape (classes,)), or one count of all for regression."""
    if not settings.classes:
        return np.array([len(labels)])
    return np.bincount(labels.astype(np.int64), minlength=len(settings.classes))


def label_conflict(pair: list[tuple[str, float]], count: int, settings: JobSettings) -> JobError:
    """Return the error for two rows, given their places and labels, with the same features and different labels."""
    (one, label), (other, other_label) = ((place, settings.classes[int(label)]) for place, label in pair)
    fault = f'the same features are labelled "{label}" and "{other_label}"'
    return JobError(f"{one} and {other}: {fault}: correct one or remove both ({count} such in all)")
