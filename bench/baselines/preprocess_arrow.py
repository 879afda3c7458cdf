"""`python -m bench.baselines.preprocess_arrow SOURCE OUTPUT`: the preprocessing with pyarrow's tables and kernels.

numpy hashes the rows, as pyarrow does not. group_by drops duplicates, and the CSV writer formats the JSON's numbers.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, dataset

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, TARGET

PLAIN = csv.WriteOptions(include_header=False, quoting_style="none")
LINES = 65_536


def main(source: str, output: str) -> None:
    """Check, drop duplicates, split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    types = {**dict.fromkeys(NAMES, pa.float64()), TARGET: pa.string()}
    options = csv.ConvertOptions(column_types=types)
    rows = dataset.dataset(source, format=dataset.CsvFileFormat(convert_options=options)).to_table()
    finite = all(pc.all(pc.is_finite(rows[name])).as_py() for name in NAMES)
    if not finite or not pc.all(pc.is_in(rows[TARGET], pa.array(CLASSES))).as_py():
        sys.exit("invalid rows")
    once = rows.group_by(NAMES).aggregate([(TARGET, "min"), (TARGET, "max")])
    del rows
    if not pc.all(pc.equal(once[f"{TARGET}_min"], once[f"{TARGET}_max"])).as_py():
        sys.exit("equal features with different labels")
    label = pc.equal(once[f"{TARGET}_min"], CLASSES[1]).cast(pa.int8())
    features = once.select(NAMES)
    row = _hash(features)
    place = row / 2.0**64
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    labelled = features.add_column(0, TARGET, label)
    csv.write_csv(labelled.filter(place < first), folder / "train.csv", PLAIN)
    csv.write_csv(labelled.filter((place >= first) & (place < second)), folder / "validation.csv", PLAIN)
    held = place >= second
    with (folder / "holdout.jsonl").open("wb") as file:
        for batch in features.filter(held).to_batches(LINES):
            text = pa.BufferOutputStream()
            csv.write_csv(pa.table(batch), text, PLAIN)
            lines = text.getvalue().to_pybytes().splitlines()
            file.write(b"".join(b'{"features":[%b]}\n' % line for line in lines))
    with (folder / "labels.jsonl").open("w") as labels:
        pairs = zip(row[held].tolist(), label.filter(held).to_pylist(), strict=True)
        labels.writelines(f'{{"row":"{key:016x}","label":{value}}}\n' for key, value in pairs)
    statistics = {name: _statistics(features[name]) for name in NAMES}
    (folder / "baseline.json").write_text(json.dumps(statistics))
    print(once.num_rows)


def _hash(features: pa.Table) -> NDArray[np.uint64]:
    keys = np.ones(features.num_rows, np.uint64)
    for column in features.columns:
        keys ^= column.to_numpy().view(np.uint64)
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _statistics(column: pa.ChunkedArray) -> dict[str, object]:
    return {
        "mean": pc.mean(column).as_py(),
        "standard_deviation": pc.stddev(column, ddof=1).as_py(),
        **pc.min_max(column).as_py(),
        "percentiles": pc.quantile(column, PERCENTS).to_pylist(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
