"""`python -m bench.baselines.preprocess_pandas SOURCE OUTPUT SAMPLED COMPARED`: the preprocessing with pandas.

Other hashes than the project's, but the same work: see bench/preprocess.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, STATISTICS, TARGET


def main(source: str, output: str, sampled: str, compared: str) -> None:
    """Check, drop duplicates, order and split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.concat([pd.read_csv(file) for file in sorted(Path(source).glob("*.csv"))], ignore_index=True)
    if not (np.isfinite(rows[NAMES].to_numpy()).all() and rows[TARGET].isin(CLASSES).all()):
        sys.exit("invalid rows")
    rows.index = pd.Index(pd.util.hash_pandas_object(rows[[*NAMES, TARGET]], index=False))
    rows = rows[~rows.index.duplicated()].sort_index()
    alike = pd.util.hash_pandas_object(rows[NAMES], index=False)
    compare = (alike / 2.0**64 < float(compared)).to_numpy()
    if alike[compare].duplicated().any():
        sys.exit("equal features with different labels")
    rows[TARGET] = (rows[TARGET] == CLASSES[1]).astype("float32")
    place = rows.index / 2.0**64
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    parts = {"train": place < first, "validation": (place >= first) & (place < second)}
    for name, chosen in parts.items():
        labelled = rows.loc[chosen, [TARGET, *NAMES]].astype("float32")
        labelled.reset_index(drop=True).to_feather(folder / f"{name}.arrow", compression="uncompressed")
    held = place >= second
    features = pd.DataFrame({"features": rows.loc[held, NAMES].to_numpy().tolist()})
    features.to_json(folder / "holdout.jsonl", orient="records", lines=True, double_precision=15)
    labels = pd.DataFrame({"row": rows.index[held], "label": rows.loc[held, TARGET].astype("int8").to_numpy()})
    labels.to_json(folder / "labels.jsonl", orient="records", lines=True)
    described = rows[NAMES].agg(["mean", "std", "min", "max"]).set_axis(STATISTICS[:-1])
    sample = rows.loc[(alike * np.uint64(0x9E3779B97F4A7C15) / 2.0**64 < float(sampled)).to_numpy(), NAMES]
    percentiles = sample.quantile(PERCENTS)
    statistics = {name: {**described[name], "percentiles": percentiles[name].to_list()} for name in NAMES}
    (folder / "baseline.json").write_text(json.dumps(statistics))
    print(len(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
