"""`python -m bench.baselines.preprocess_polars SOURCE OUTPUT`: the preprocessing with polars.

The streaming engine collects all outputs together, so that it reads shared inputs once.
"""

import json
import sys
from pathlib import Path

import polars as pl

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, TARGET


def main(source: str, output: str) -> None:
    """Check, drop duplicates, split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    types = {**dict.fromkeys(NAMES, pl.Float64), TARGET: pl.String}
    rows = pl.scan_csv(f"{source}/*.csv", schema=types)
    features = pl.col(NAMES)
    wrong = rows.select(
        ~pl.all_horizontal(features.is_finite(), pl.col(TARGET).is_in(CLASSES)).fill_null(value=False)
    ).sum()
    once = (
        rows.group_by(NAMES)
        .agg(pl.col(TARGET).first(), pl.col(TARGET).n_unique().alias("labels"), pl.len().alias("times"))
        .with_columns(pl.struct(NAMES).hash(1).alias("row"))
        .with_columns((pl.col(TARGET) == CLASSES[1]).cast(pl.Int8), (pl.col("row") / 2.0**64).alias("place"))
    )
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    learn, held = pl.col("place") < second, once.filter(pl.col("place") >= second)
    labelled = [pl.col(TARGET), features]
    outputs = [
        once.filter(pl.col("place") < first)
        .select(labelled)
        .sink_csv(folder / "train.csv", include_header=False, lazy=True),
        once.filter(learn & (pl.col("place") >= first))
        .select(labelled)
        .sink_csv(folder / "validation.csv", include_header=False, lazy=True),
        held.select(features=pl.concat_list(NAMES)).sink_ndjson(folder / "holdout.jsonl", lazy=True),
        held.select("row", pl.col(TARGET).alias("label")).sink_ndjson(folder / "labels.jsonl", lazy=True),
        wrong,
        once.select(
            pl.len().alias("rows"),
            (pl.col("labels") > 1).sum().alias("clashes"),
            features.mean().name.suffix("_mean"),
            features.std().name.suffix("_sd"),
            features.min().name.suffix("_minimum"),
            features.max().name.suffix("_maximum"),
            features.quantile(PERCENTS, interpolation="linear").name.suffix("_percentiles"),
        ),
    ]
    *_, wrong_rows, described = pl.collect_all(outputs, engine="streaming")
    if wrong_rows.item() or described["clashes"].item():
        sys.exit("invalid rows")
    (folder / "baseline.json").write_text(json.dumps(described.to_dicts()[0]))
    print(described["rows"].item())


if __name__ == "__main__":
    main(*sys.argv[1:])
