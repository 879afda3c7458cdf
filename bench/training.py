"""Training on a large CSV: against pandas and scikit-learn, against Vowpal Wabbit, and on ten times the rows."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench import data
from bench.figure import Figure
from bench.process import Run, fastest, run
from local.linear_learner import artifact, predict

REPEATS = 3
SCIKIT = "pandas.read_csv, StandardScaler, one LogisticRegression"
WABBIT = "Vowpal Wabbit, one model"


def measure(folder: Path, rows: int) -> Iterator[Figure]:
    """All 32 models trained, selected and calibrated from CSV, parsing included.

    Args:
        folder: For the generated data; emptied afterwards.
        rows: Of the smaller training file.
    """
    root = folder / "training"
    try:
        small, held = _laid_out(root / "once", rows)
        name = f"{rows:,} x {data.FEATURES} from CSV"
        ours, scikit, single, wabbit = list[Run](), list[Run](), list[Run](), list[Run]()
        for _ in range(REPEATS):
            ours.append(_train(root / "once"))
            scikit.append(run("bench.scikit", str(small), str(held)))
            single.append(_train(root / "once", epochs="1"))
            wabbit.append(run("bench.wabbit", str(small), str(data.FEATURES)))
        _train(root / "once")
        once, other = fastest(ours), fastest(scikit)
        loss, other_loss = _log_loss(root / "once", held), float(other.output.split()[-1])
        yield Figure(f"train 32 models, {name}", once.seconds, "s", SCIKIT, other.seconds, "ratio <= 1.0")
        yield Figure(f"peak memory, {name}", once.memory, "MB", SCIKIT, other.memory, "ratio <= 0.5")
        yield Figure(f"validation log loss, {name}", loss, "", SCIKIT, other_loss, "ratio <= 1.0")
        one = fastest(single).seconds
        yield Figure(f"one pass of 32 models, {name}", one, "s", WABBIT, fastest(wabbit).seconds, "ratio <= 1.2")
        small.unlink()
        _laid_out(root / "ten", 10 * rows)
        ten = fastest([_train(root / "ten") for _ in range(REPEATS)])
        yield Figure("ten times the rows, time", ten.seconds, "s", "the same, once", once.seconds, "ratio <= 11")
        yield Figure("ten times the rows, peak memory", ten.memory, "MB", "the same, once", once.memory, "ratio <= 1.2")
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
    score = predict.predict(artifact.read(root / "model"), rows[:, 1:]).score.astype(np.float64)
    return float(-np.mean(np.log(np.where(rows[:, 0] == 1, score, 1 - score))))
