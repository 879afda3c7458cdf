"""Tables of public packages: `ops init`, preprocessing and training without an edited setting give an honest model."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from local_aws.linear_learner import artifact
from local_aws.linear_learner.predict import predict
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.config import Settings, load
from pipeline.jobs.shared.encoder import Encoder, boolean_of
from pipeline.jobs.shared.labels import class_of
from pipeline.settings import Data, Kind
from tests.conftest import ROOT
from tests.ops.typing import typed
from tests.tables import TABLES

pytestmark = pytest.mark.full
KINDS = get_args(Kind)
CSV = "text/csv"
CHANNEL = {"ContentType": CSV, "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}


def run(module: str, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def trained(folder: Path, settings: Settings) -> artifact.Model:
    """The linear learner's model of the parts in a folder."""
    root = folder / "ml"
    for name in ("input/config", "input/data", "model", "output"):
        (root / name).mkdir(parents=True)
    for part in ("train", "validation"):
        (root / "input/data" / part).symlink_to(folder / "out" / part)
    channels = {part: CHANNEL | {"RecordWrapperType": "None"} for part in ("train", "validation")}
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
    hyperparameters = settings.hyperparameters()
    for name, document in (
        ("hyperparameters", hyperparameters),
        ("inputdataconfig", channels),
        ("resourceconfig", hosts),
    ):
        (root / "input/config" / f"{name}.json").write_text(json.dumps(document))
    run("local_aws.linear_learner", "train", "--root", root)
    return artifact.read(root / "model")


def encoder_of(out: Path) -> Encoder | None:
    if not (out / "encoder").is_dir():
        return None
    with tarfile.open(out / "encoder/model.tar.gz") as packed:
        member = packed.extractfile("encoder.json")
        assert member
        return Encoder.from_json(member.read().decode())


def holdout(out: Path) -> tuple[np.ndarray, np.ndarray]:
    """The rows as the linear learner reads them, and their labels."""
    files, labels = sorted((out / "holdout").iterdir()), sorted((out / "labels").iterdir())
    text = b"".join(file.read_bytes() for file in files)
    encoder = encoder_of(out)
    if encoder:
        rows = encoder.encode(encoder.read(text))
    else:
        rows = np.array([json.loads(line)["features"] for line in text.splitlines()])
    return rows, np.array([json.loads(line)["label"] for file in labels for line in file.read_text().splitlines()])


def rows_as_pandas_reads_them(file: Path, data: Data) -> pd.DataFrame:
    """The features and the target: floats, and texts for the other kinds; NaN where missing."""
    numbers = [name for name in data.features if data.kind(name) == "numeric"]
    numbers += [] if data.classes else [data.target]
    texts = {name: str for name in (*data.features, data.target) if name not in numbers}
    missing = ["", *data.missing.texts]
    form = data.format
    options: dict[str, Any] = {"sep": form.separator, "decimal": form.decimal, "encoding": form.encoding}
    return pd.read_csv(
        file, dtype=texts, na_values=missing, keep_default_na=False, float_precision="round_trip", **options
    )


def scikit_learns(data: Data) -> Pipeline:
    """A linear model behind scikit-learn's own encoders, as the settings encode."""
    by_kind = {kind: [name for name in data.features if data.kind(name) == kind] for kind in KINDS}
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=data.levels.minimum_rows)
    encoders = [
        ("numeric", SimpleImputer(strategy="median", add_indicator=True), by_kind["numeric"]),
        ("boolean", SimpleImputer(strategy="constant", fill_value=0.0, add_indicator=True), by_kind["boolean"]),
        (
            "categorical",
            make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), levels),
            by_kind["categorical"],
        ),
    ]
    estimator = Ridge() if data.predictor_type == "regressor" else LogisticRegression(solver="newton-cg")
    return make_pipeline(ColumnTransformer(encoders, sparse_threshold=0), StandardScaler(), estimator)


def encoded(frame: pd.DataFrame, data: Data, encoder: Encoder | None) -> np.ndarray:
    """The features as the linear learner reads them."""
    features = frame[list(data.features)]
    if encoder is None:
        return features.to_numpy(np.float64)
    text = features.to_csv(header=False, index=False)
    return encoder.encode(encoder.read(text.encode()))


def places(rows: np.ndarray, labels: np.ndarray, of: np.ndarray, of_labels: np.ndarray) -> list[int]:
    """For each row and label the number of an equal one among others, each taken once."""
    known: dict[bytes, list[int]] = {}
    for number, row in enumerate(np.column_stack([of_labels, of + 0.0])):
        known.setdefault(row.tobytes(), []).append(number)
    return [known[row.tobytes()].pop() for row in np.column_stack([labels, rows + 0.0])]


@pytest.mark.parametrize("name", TABLES)
def test_the_model_passes_its_gate_and_is_as_good_as_scikit_learns(name: str, tmp_path: Path) -> None:
    made = TABLES[name]()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_bytes(made.text)
    config = tmp_path / "pipeline.toml"
    answer = typed("init", str(tmp_path / "data/table.csv"), "--target", made.target, "--out", str(config))
    assert answer.code == 0, answer.err
    settings = load(config)
    # As text, the rows of train have all digits, by which they are found.
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"content_type": CSV})})
    (tmp_path / "settings.json").write_text(settings.to_json())
    folders = ("--settings", tmp_path / "settings.json", "--input", tmp_path / "data", "--output", tmp_path / "out")
    run("pipeline.jobs", "preprocess", *folders)
    (rows, labels), data = holdout(tmp_path / "out"), settings.data
    answers = predict(trained(tmp_path, settings), rows.astype(np.float32))

    # The rows of both parts as pandas reads them from the file; the encoded ones only tell which they are.
    frame = rows_as_pandas_reads_them(tmp_path / "data/table.csv", data)
    train = np.concatenate([np.loadtxt(file, delimiter=",") for file in sorted((tmp_path / "out/train").iterdir())])
    classes = [class_of(label, data.classes) for label in frame[data.target]] if data.classes else frame[data.target]
    everything, of_all = encoded(frame, data, encoder_of(tmp_path / "out")), np.array(classes, np.float64)
    for column in data.kinds:
        if data.kind(column) == "boolean":
            words = frame[column].map(boolean_of, na_action="ignore")
            frame[column] = words.astype(np.float64)
    of_train = frame.iloc[places(train[:, 1:], train[:, 0], everything, of_all)]
    of_holdout = frame.iloc[places(rows, labels, everything, of_all)]
    model = scikit_learns(data).fit(of_train[list(data.features)], train[:, 0])
    told = of_holdout[list(data.features)]
    if data.predictor_type == "regressor":
        ours, others = ({"r2": r2_score(labels, each)} for each in (answers.score, model.predict(told)))
    else:
        ours, others = ({"accuracy": accuracy_score(labels, each)} for each in (answers.label, model.predict(told)))
    if data.predictor_type == "binary_classifier":
        ours["auc"] = roc_auc_score(labels, answers.score)
        others["auc"] = roc_auc_score(labels, model.predict_proba(told)[:, 1])
    assert ours == pytest.approx(others, abs=0.01)
    assert {metric: bound for metric, bound in settings.gate.minimum.items() if ours[metric] < bound} == {}
