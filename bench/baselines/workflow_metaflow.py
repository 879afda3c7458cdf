# mypy: disable-error-code="misc, untyped-decorator"
"""The steps as a Metaflow flow with scikit-learn: `python bench/baselines/workflow_metaflow.py run --data wdbc.csv`."""

import json

from metaflow import FlowSpec, Parameter, step

LABELS = ["B", "M"]
MINIMUM = {"auc": 0.97, "accuracy": 0.93}
GOLDEN = 0
"""The number of a row with a known prediction."""


class Training(FlowSpec):
    """One step per job or decision of the workflow, from the upload to a prediction."""

    data = Parameter("data", help="the CSV")

    @step
    def start(self) -> None:
        """Check that the data exists."""
        from pathlib import Path

        self.bytes = Path(self.data).stat().st_size
        self.next(self.preprocess)

    @step
    def preprocess(self) -> None:
        """Check, drop duplicates, split by a hash, compute statistics."""
        import numpy as np
        import pandas as pd

        rows = pd.read_csv(self.data)
        features = rows.drop(columns=["id", "diagnosis"])
        if not (np.isfinite(features.to_numpy()).all() and rows["diagnosis"].isin(LABELS).all()):
            raise ValueError("invalid rows")
        features = features.drop_duplicates()
        labels = (rows.loc[features.index, "diagnosis"] == "M").astype(int)
        place = pd.util.hash_pandas_object(features, index=False) / 2.0**64
        chosen = {"train": place < 0.6, "validation": (place >= 0.6) & (place < 0.8), "holdout": place >= 0.8}
        self.parts = {name: (features[rows].to_numpy(), labels[rows].to_numpy()) for name, rows in chosen.items()}
        self.golden = features.iloc[GOLDEN].tolist()
        self.baseline = json.loads(features.describe().to_json())
        self.next(self.train)

    @step
    def train(self) -> None:
        """Fit linear models with several penalties; keep the one with the lowest validation loss."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import log_loss
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        held, labels = self.parts["validation"]
        tried = [
            make_pipeline(StandardScaler(), LogisticRegression(C=c)).fit(*self.parts["train"])
            for c in (1.0, 0.3, 0.1, 0.01)
        ]
        self.model = min(tried, key=lambda model: log_loss(labels, model.predict_proba(held)))
        self.next(self.score)

    @step
    def score(self) -> None:
        """Score the hold-out."""
        self.scores = self.model.predict_proba(self.parts["holdout"][0])[:, 1]
        self.next(self.evaluate)

    @step
    def evaluate(self) -> None:
        """Compute metrics, with a bootstrap interval."""
        import numpy as np
        from sklearn.metrics import accuracy_score, roc_auc_score

        labels, random = self.parts["holdout"][1], np.random.default_rng(0)
        samples = [random.integers(0, len(labels), len(labels)) for _ in range(200)]
        spread = [roc_auc_score(labels[chosen], self.scores[chosen]) for chosen in samples]
        self.metrics = {
            "auc": roc_auc_score(labels, self.scores),
            "accuracy": accuracy_score(labels, self.scores >= 0.5),
            "auc_interval": np.percentile(spread, [2.5, 97.5]).tolist(),
        }
        self.next(self.gate)

    @step
    def gate(self) -> None:
        """Reject a model below the bounds."""
        if missed := [name for name, bound in MINIMUM.items() if self.metrics[name] < bound]:
            raise ValueError(f"{missed} too low")
        self.next(self.release)

    @step
    def release(self) -> None:
        """Store the model with its lineage."""
        import pickle

        self.package = {"model": pickle.dumps(self.model), "metrics": self.metrics, "baseline": self.baseline}
        self.next(self.predict)

    @step
    def predict(self) -> None:
        """Load the stored model, and predict one row."""
        import pickle

        model = pickle.loads(self.package["model"])  # noqa: S301 (written by the step before)
        self.prediction = LABELS[int(model.predict([self.golden])[0])]
        self.next(self.end)

    @step
    def end(self) -> None:
        """Print the prediction."""
        print(f"prediction: {self.prediction}")


if __name__ == "__main__":
    Training()
