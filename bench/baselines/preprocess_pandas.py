"""`python -m bench.baselines.preprocess_pandas SOURCE OUTPUT`: the preprocessing with pandas."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bench.columns import CLASSES, NAMES, PERCENTS, SHARES, TARGET


def main(source: str, output: str) -> None:
    """Check, drop duplicates, split by a hash, compute statistics, write."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.concat([pd.read_csv(file) for file in sorted(Path(source).glob("*.csv"))], ignore_index=True)
    if not (np.isfinite(rows[NAMES].to_numpy()).all() and rows[TARGET].isin(CLASSES).all()):
        sys.exit("invalid rows")
    rows = rows.drop_duplicates()
    if rows.duplicated(NAMES).any():
        sys.exit("equal features with different labels")
    rows[TARGET] = (rows[TARGET] == CLASSES[1]).astype("int8")
    row = pd.util.hash_pandas_object(rows[NAMES], index=False)
    place = row / 2.0**64
    first, second = SHARES["train"], SHARES["train"] + SHARES["validation"]
    parts = {"train": place < first, "validation": (place >= first) & (place < second)}
    for name, chosen in parts.items():
        rows.loc[chosen, [TARGET, *NAMES]].to_csv(folder / f"{name}.csv", header=False, index=False)
    held = place >= second
    features = pd.DataFrame({"features": rows.loc[held, NAMES].to_numpy().tolist()})
    features.to_json(folder / "holdout.jsonl", orient="records", lines=True, double_precision=15)
    labels = pd.DataFrame({"row": row[held], "label": rows.loc[held, TARGET]})
    labels.to_json(folder / "labels.jsonl", orient="records", lines=True)
    described = rows[NAMES].describe(percentiles=PERCENTS)
    (folder / "baseline.json").write_text(json.dumps(described.to_dict()))
    print(len(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
