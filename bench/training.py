"""Training on many rows of recordio-protobuf, beside scikit-learn and Vowpal Wabbit on the same rows as CSV."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from local_aws.linear_learner import artifact, predict
from numpy.typing import NDArray

from bench import data
from bench.columns import FEATURES
from bench.figures import Figure
from bench.machine import copy_speed
from bench.process import BASELINES, Run, in_turn, least_disturbed, run, spread

CSV, RECORDIO = "text/csv", "application/x-recordio-protobuf"
READING = "reading of its rows from memory, once"
SCIKIT = "pyarrow's CSV reader, StandardScaler, one LogisticRegression"
WABBIT = "Vowpal Wabbit, one model from CSV"


def measure(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """Train, select and calibrate all 32 models on a file of `rows` rows, reading included.

    Ours are in the format that preprocessing writes; the baselines read CSV, as they have no reader of it.

    The validation file has a twentieth of the rows, at most 100,000, and so has the file on which quality is measured:
    ours selects by the validation file, and scikit-learn does not read it. Each program runs `repeats` times.
    """
    root = folder / "training"
    try:
        name, (learn, test) = f"{rows:,} x {FEATURES} from recordio", (root / "train.csv", root / "test.csv")
        train_file, validation_file = prepare(root, "train", "validation", content_type=RECORDIO)
        held = min(rows // 20, 100_000)
        data.write_csv(learn, rows, seed=1)
        data.write_recordio(train_file, rows, seed=1)
        data.write_recordio(validation_file, held, seed=2)
        data.write_csv(test, held, seed=3)
        runs = in_turn(
            repeats,
            {
                "single": lambda: _train_synced(root, epochs="1"),
                "wabbit": lambda: run(
                    "bench.baselines.train_vowpal_wabbit", str(learn), str(FEATURES), python=BASELINES
                ),
                "ours": lambda: _train_synced(root),
                "scikit": lambda: run("bench.baselines.train_scikit_learn", str(learn), str(test), python=BASELINES),
            },
        )
        seconds = {name: [turn.seconds for turn in turns] for name, turns in runs.items()}
        least = {name: least_disturbed(turns) for name, turns in runs.items()}
        ours, other = least["ours"], least["scikit"]
        read, apart = train_file.stat().st_size / 1e6 / copy_speed(), spread(seconds["ours"], seconds["scikit"])
        title, took, goal = f"train 32 models, {name}", ours.seconds, "ratio <= 0.35"
        yield Figure(title, took, "s", SCIKIT, other.seconds, goal, READING, read, apart)
        yield Figure(f"peak memory, {name}", ours.memory, "MB", SCIKIT, other.memory, "ratio <= 0.1", "8 MB chunks")
        loss, other_loss = _log_loss(root, test), float(other.output.split()[-1])
        yield Figure(f"log loss on a third file, {name}", loss, "", SCIKIT, other_loss, "ratio <= 1.0", "the data")
        title, took, its = f"one pass of 32 models, {name}", least["single"].seconds, least["wabbit"].seconds
        apart = spread(seconds["single"], seconds["wabbit"])
        yield Figure(title, took, "s", WABBIT, its, "ratio <= 0.4", READING, read, apart)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def prepare(root: Path, *channels: str, content_type: str = CSV) -> list[Path]:
    """Make a folder like /opt/ml; returns the path of each channel's file, which the caller writes."""
    (root / "input/config").mkdir(parents=True, exist_ok=True)
    config = {channel: {"ContentType": content_type} for channel in channels}
    (root / "input/config/inputdataconfig.json").write_text(json.dumps(config))
    files = [root / "input/data" / channel / "part-0" for channel in channels]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    return files


def train(root: Path, **hyperparameters: str) -> Run:
    """Run a training job on a folder from `prepare`, with the default hyperparameters but for the given ones."""
    config = {"predictor_type": "binary_classifier", **hyperparameters}
    (root / "input/config/hyperparameters.json").write_text(json.dumps(config))
    return run("local_aws.linear_learner", "train", "--root", str(root))


def train_on(root: Path, features: NDArray[np.float64], labels: NDArray[np.int64]) -> Run:
    """Run a training job on a table, in mini-batches of 32 rows."""
    (file,) = prepare(root, "train")
    table = np.column_stack([labels, features])
    file.write_text("\n".join(",".join(map(repr, row)) for row in table.tolist()))
    return train(root, mini_batch_size="32")


def _train_synced(root: Path, **hyperparameters: str) -> Run:
    os.sync()  # the generated data must not be on its way to the disk during the measurement
    return train(root, **hyperparameters)


def _log_loss(root: Path, held: Path) -> float:
    rows = np.loadtxt(held, delimiter=",", dtype=np.float32)
    score = predict.predict(artifact.read(root / "model"), rows[:, 1:]).score.astype(np.float64)
    return float(-np.mean(np.log(np.where(rows[:, 0] == 1, score, 1 - score))))
