"""`python -m bench.baselines.preprocess_arrow SOURCE OUTPUT SAMPLED COMPARED`: the preprocessing with pyarrow's tables.

numpy hashes the rows and orders the hashes, which pyarrow does not. The CSV writer formats the JSON's numbers. Other
hashes than the project's, but the same work: see bench/preprocess.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, dataset, feather

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, STATISTICS, TARGET

PLAIN = csv.WriteOptions(include_header=False, quoting_style="none")
LINES = 65_536
NUMBERS = pa.schema([(name, pa.float32()) for name in [TARGET, *NAMES]])


def main(source: str, output: str, sampled: str, compared: str) -> None:
    """Check, drop duplicates, order and split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    types = {**dict.fromkeys(NAMES, pa.float64()), TARGET: pa.string()}
    options = csv.ConvertOptions(column_types=types)
    rows = dataset.dataset(source, format=dataset.CsvFileFormat(convert_options=options)).to_table()
    finite = all(pc.all(pc.is_finite(rows[name])).as_py() for name in NAMES)
    if not finite or not pc.all(pc.is_in(rows[TARGET], pa.array(CLASSES))).as_py():
        sys.exit("invalid rows")
    label = pc.equal(rows[TARGET], CLASSES[1]).cast(pa.float64())
    rows = rows.select(NAMES).add_column(0, TARGET, label)
    row, order = np.unique(_hash(rows), return_index=True)
    rows = rows.take(pa.array(order))
    alike = _hash(rows.select(NAMES))
    compare = alike[alike / 2.0**64 < float(compared)]
    if len(np.unique(compare)) < len(compare):
        sys.exit("equal features with different labels")
    place = row / 2.0**64
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    for name, chosen in (("train", place < first), ("validation", (place >= first) & (place < second))):
        numbers = rows.filter(pa.array(chosen)).cast(NUMBERS)
        feather.write_feather(numbers, folder / f"{name}.arrow", compression="uncompressed")
    held = place >= second
    features = rows.select(NAMES).filter(pa.array(held))
    with (folder / "holdout.jsonl").open("wb") as file:
        for batch in features.to_batches(LINES):
            text = pa.BufferOutputStream()
            csv.write_csv(pa.table(batch), text, PLAIN)
            lines = text.getvalue().to_pybytes().splitlines()
            file.write(b"".join(b'{"features":[%b]}\n' % line for line in lines))
    with (folder / "labels.jsonl").open("w") as labels:
        pairs = zip(row[held].tolist(), rows[TARGET].filter(pa.array(held)).to_pylist(), strict=True)
        labels.writelines(f'{{"row":"{key:016x}","label":{value:.0f}}}\n' for key, value in pairs)
    sample = rows.filter(pa.array(alike * np.uint64(0x9E3779B97F4A7C15) / 2.0**64 < float(sampled)))
    statistics = {name: _statistics(rows[name], sample[name]) for name in NAMES}
    (folder / "baseline.json").write_text(json.dumps(statistics))
    print(rows.num_rows)


def _hash(columns: pa.Table) -> NDArray[np.uint64]:
    keys = np.ones(columns.num_rows, np.uint64)
    for column in columns.columns:
        keys ^= column.to_numpy().view(np.uint64)
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _statistics(column: pa.ChunkedArray, sample: pa.ChunkedArray) -> dict[str, object]:
    range_ = pc.min_max(column)
    moments = pc.mean(column), pc.stddev(column, ddof=1), range_["min"], range_["max"]
    found = [*(scalar.as_py() for scalar in moments), pc.quantile(sample, PERCENTS).to_pylist()]
    return dict(zip(STATISTICS, found, strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
