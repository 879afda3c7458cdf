"""A user's script: fits and applies the preprocessing of abalones, which are a sex, 7 measures and perhaps the rings."""

import argparse
import csv
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

COLUMNS = 8
Table = NDArray[Any]


def read(text: str) -> Table:
    return np.array(list(csv.reader(io.StringIO(text))), dtype=object)


def fit(channel: Path, model: Path) -> None:
    table = np.concatenate([read(file.read_text()) for file in sorted(channel.iterdir())])
    measures = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = [("measures", measures, list(range(1, COLUMNS))), ("sex", OneHotEncoder(handle_unknown="ignore"), [0])]
    preprocessor = ColumnTransformer(columns, sparse_threshold=0).fit(table[:, :COLUMNS])
    (model / "preprocessor.pickle").write_bytes(pickle.dumps(preprocessor))
    print(f"fitted on {len(table)} abalones")


def model_fn(folder: str) -> Any:
    return pickle.loads((Path(folder) / "preprocessor.pickle").read_bytes())


def input_fn(text: str, content_type: str) -> Table:
    if content_type != "text/csv":
        raise ValueError(f"{content_type} is not text/csv")
    return read(text)


def predict_fn(table: Table, model: Any) -> Table:
    """The features of each abalone, after its rings if they are known."""
    features = model.transform(table[:, :COLUMNS])
    return np.column_stack([table[:, COLUMNS:].astype(float), features])


def output_fn(features: Table, accept: str) -> tuple[str, str]:
    if accept == "text/csv":
        return "\n".join(",".join(map(repr, row)) for row in features.tolist()), accept
    return json.dumps({"instances": [{"features": row} for row in features.tolist()]}), "application/json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, default=os.environ["SM_CHANNEL_TRAIN"])
    parser.add_argument("--model-dir", type=Path, default=os.environ["SM_MODEL_DIR"])
    given = parser.parse_args()
    fit(given.train, given.model_dir)
