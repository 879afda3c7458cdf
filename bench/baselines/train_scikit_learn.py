"""`python -m bench.baselines.train_scikit_learn TRAIN.csv TEST.csv`: print the log loss on the second file."""

import sys

import numpy as np
from numpy.typing import NDArray
from pyarrow import csv
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(train: str, test: str) -> None:
    """Train one model on standardized features."""
    features, labels = _read(train)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
    del features, labels
    features, labels = _read(test)
    print(log_loss(labels, model.predict_proba(features)))


def _read(file: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read features and labels with pyarrow, on all cores."""
    rows = csv.read_csv(file, csv.ReadOptions(autogenerate_column_names=True))
    features = np.column_stack([column.to_numpy() for column in rows.columns[1:]])
    return features, rows.columns[0].to_numpy()


if __name__ == "__main__":
    main(*sys.argv[1:])
