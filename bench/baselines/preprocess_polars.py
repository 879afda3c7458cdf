"""`python -m bench.baselines.preprocess_polars SOURCE OUTPUT SAMPLED COMPARED`: the preprocessing with polars.

The streaming engine collects all outputs together, so that it reads shared inputs once. Other hashes than the
project's, but the same work: see bench/preprocess.py.
"""

import json
import sys
from pathlib import Path

import polars as pl

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, STATISTICS, TARGET


def main(source: str, output: str, sampled: str, compared: str) -> None:
    """Check, drop duplicates, order and split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    types = {**dict.fromkeys(NAMES, pl.Float64), TARGET: pl.String}
    rows = pl.scan_csv(f"{source}/*.csv", schema=types)
    features = pl.col(NAMES)
    wrong = rows.select(
        ~pl.all_horizontal(features.is_finite(), pl.col(TARGET).is_in(CLASSES)).fill_null(value=False)
    ).sum()
    once = (
        rows.with_columns(pl.struct([*NAMES, TARGET]).hash(1).alias("row"))
        .unique("row", keep="any")
        .sort("row")
        .with_columns((pl.col(TARGET) == CLASSES[1]).cast(pl.Float32), (pl.col("row") / 2.0**64).alias("place"))
    )
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    learn, held = pl.col("place") < second, once.filter(pl.col("place") >= second)
    labelled = [pl.col(TARGET), features.cast(pl.Float32)]
    alike = once.select(pl.struct(NAMES).hash(2).alias("features"), TARGET)
    outputs = [
        once.filter(pl.col("place") < first).select(labelled).sink_ipc(folder / "train.arrow", lazy=True),
        once.filter(learn & (pl.col("place") >= first))
        .select(labelled)
        .sink_ipc(folder / "validation.arrow", lazy=True),
        held.select(features=pl.concat_list(NAMES)).sink_ndjson(folder / "holdout.jsonl", lazy=True),
        held.select("row", pl.col(TARGET).cast(pl.Int8).alias("label")).sink_ndjson(folder / "labels.jsonl", lazy=True),
        wrong,
        alike.filter(pl.col("features") / 2.0**64 < float(compared))
        .group_by("features")
        .agg(pl.col(TARGET).n_unique())
        .select((pl.col(TARGET) > 1).sum()),
        once.select(
            pl.len().alias("rows"),
            features.mean().name.suffix("_mean"),
            features.std().name.suffix("_standard_deviation"),
            features.min().name.suffix("_minimum"),
            features.max().name.suffix("_maximum"),
        ),
        once.filter(pl.col("row").hash(3) / 2.0**64 < float(sampled)).select(
            features.quantile(PERCENTS, interpolation="linear").name.suffix("_percentiles")
        ),
    ]
    *_, wrong_rows, clashes, described, percentiles = pl.collect_all(outputs, engine="streaming")
    if wrong_rows.item() or clashes.item():
        sys.exit("invalid rows")
    found = described.to_dicts()[0] | percentiles.to_dicts()[0]
    statistics = {name: {statistic: found[f"{name}_{statistic}"] for statistic in STATISTICS} for name in NAMES}
    (folder / "baseline.json").write_text(json.dumps(statistics))
    print(described["rows"].item())


if __name__ == "__main__":
    main(*sys.argv[1:])
