"""Training on a large CSV: against pandas and scikit-learn, and against Vowpal Wabbit."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench import data
from bench.columns import FEATURES
from bench.figure import Figure
from bench.process import YARDSTICKS, Run, in_turn, least_disturbed, run
from local.linear_learner import artifact, predict

PARSING = "parsing CSV, one core"
SCIKIT = "pandas.read_csv, StandardScaler, one LogisticRegression"
WABBIT = "Vowpal Wabbit, one model"


def measure(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """All 32 models trained, selected and calibrated from CSV, parsing included.

    Args:
        folder: For the generated data; emptied afterwards.
        rows: Of the training file.
        repeats: Of each program.
    """
    root = folder / "training"
    try:
        learn, held = _laid_out(root, rows)
        name, given = f"{rows:,} x {FEATURES} from CSV", (str(learn), str(held))
        runs = in_turn(
            repeats,
            {
                "single": lambda: _train(root, epochs="1"),
                "wabbit": lambda: run("bench.yardsticks.wabbit", given[0], str(FEATURES), python=YARDSTICKS),
                "ours": lambda: _train(root),
                "scikit": lambda: run("bench.yardsticks.scikit", *given, python=YARDSTICKS),
            },
        )
        once, other = least_disturbed(runs["ours"]), least_disturbed(runs["scikit"])
        loss, other_loss = _log_loss(root, held), float(other.output.split()[-1])
        yield Figure(f"train 32 models, {name}", once.seconds, "s", SCIKIT, other.seconds, "ratio <= 1.0", PARSING)
        yield Figure(f"peak memory, {name}", once.memory, "MB", SCIKIT, other.memory, "ratio <= 0.5", "8 MB chunks")
        yield Figure(f"validation log loss, {name}", loss, "", SCIKIT, other_loss, "ratio <= 1.0", "the data")
        one, wabbit = least_disturbed(runs["single"]).seconds, least_disturbed(runs["wabbit"]).seconds
        yield Figure(f"one pass of 32 models, {name}", one, "s", WABBIT, wabbit, "ratio <= 1.2", "matrix products")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _laid_out(root: Path, rows: int) -> tuple[Path, Path]:
    """A folder like /opt/ml with a train and a validation file, a twentieth as long but at most 100,000 rows."""
    files = []
    for channel, length in (("train", rows), ("validation", min(rows // 20, 100_000))):
        folder = root / "input/data" / channel
        folder.mkdir(parents=True)
        files.append(folder / "part-0.csv")
        data.write_csv(files[-1], length, seed=len(files))
    config = root / "input/config"
    config.mkdir(parents=True)
    channels = {channel: {"ContentType": "text/csv"} for channel in ("train", "validation")}
    (config / "inputdataconfig.json").write_text(json.dumps(channels))
    return files[0], files[1]


def _train(root: Path, **hyperparameters: str) -> Run:
    given = {"predictor_type": "binary_classifier", **hyperparameters}
    (root / "input/config/hyperparameters.json").write_text(json.dumps(given))
    # What was just generated is on its way to the disk; that is not to be measured.
    os.sync()
    return run("local.linear_learner", "train", "--root", str(root))


def _log_loss(root: Path, held: Path) -> float:
    rows = np.loadtxt(held, delimiter=",", dtype=np.float32)
    score = predict.label_of(artifact.read(root / "model"), rows[:, 1:]).score.astype(np.float64)
    return float(-np.mean(np.log(np.where(rows[:, 0] == 1, score, 1 - score))))
