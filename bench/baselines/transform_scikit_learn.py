"""`python -m bench.baselines.transform_scikit_learn MODEL.npz OUT.jsonl ROWS.jsonl...`: score a batch."""

import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

LINES = 50_000


def main(model: str, out: str, *files: str) -> None:
    """Convert JSON lines of features to JSON lines of scores and labels, 50,000 at a time."""
    arrays = np.load(model)
    regression = LogisticRegression()
    regression.coef_, regression.intercept_, regression.classes_ = arrays["weights"].T, arrays["bias"], np.array([0, 1])
    with Path(out).open("w") as target:
        for name in files:
            with Path(name).open("rb") as source:
                while lines := list(islice(source, LINES)):
                    features = np.array([json.loads(line)["features"] for line in lines])
                    scores = regression.predict_proba(features)[:, 1]
                    labels = (scores >= arrays["threshold"]).astype(int)
                    for score, label in zip(scores.tolist(), labels.tolist(), strict=True):
                        target.write(json.dumps({"score": score, "predicted_label": label}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
