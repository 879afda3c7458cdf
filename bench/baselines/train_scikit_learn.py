"""`python -m bench.baselines.train_scikit_learn TRAIN.csv VALIDATION.csv`: print the validation log loss."""

import sys

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(train: str, validation: str) -> None:
    """Train one model on standardized features."""
    rows = pd.read_csv(train, header=None)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.iloc[:, 1:], rows[0])
    held = pd.read_csv(validation, header=None)
    print(log_loss(held[0], model.predict_proba(held.iloc[:, 1:])))


if __name__ == "__main__":
    main(*sys.argv[1:])
