"""`python -m bench.yardsticks.predict_proba MODEL.npz OUT.jsonl ROWS.jsonl...`: a batch scored with scikit-learn."""

import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

LINES = 50_000


def main(model: str, out: str, *files: str) -> None:
    """The rows of JSON lines to scores and labels as JSON lines, so many at a time."""
    given = np.load(model)
    learned = LogisticRegression()
    learned.coef_, learned.intercept_, learned.classes_ = given["weights"].T, given["bias"], np.array([0, 1])
    with Path(out).open("w") as target:
        for name in files:
            with Path(name).open("rb") as source:
                while lines := list(islice(source, LINES)):
                    features = np.array([json.loads(line)["features"] for line in lines])
                    scores = learned.predict_proba(features)[:, 1]
                    labels = (scores >= given["threshold"]).astype(int)
                    for score, label in zip(scores.tolist(), labels.tolist(), strict=True):
                        target.write(json.dumps({"score": score, "predicted_label": label}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
