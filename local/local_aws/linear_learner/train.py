"""The training job: channels in, `model/model_algo-1` out, or `output/failure`."""

import json
import math
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from local_aws.linear_learner import artifact
from local_aws.linear_learner.cache import Cache, Scaler
from local_aws.linear_learner.channels import Channel, open_channels
from local_aws.linear_learner.common import AlgorithmError, ClientError, ContainerError, Floats, ahead
from local_aws.linear_learner.fit import Fitted, fit
from local_aws.linear_learner.grid import grid, outputs, resolve
from local_aws.linear_learner.hyperparameters import AUTO, BINARY, REGRESSOR, RULES, Config, checked
from local_aws.linear_learner.measures import measure
from local_aws.linear_learner.packing import Pack
from local_aws.linear_learner.report import Report
from local_aws.linear_learner.selection import CRITERION

SEED = 0


def run(root: Path) -> int:
    """Train; returns the exit code. A failure is written to standard output and to `output/failure`."""
    try:
        # A model that diverges is reported once, at the end: by its loss or by its weights.
        with ExitStack() as caches, np.errstate(over="ignore", invalid="ignore"):
            _train(root, caches)
    except Exception as error:
        failure = error if isinstance(error, ContainerError) else AlgorithmError(f"{type(error).__name__}: {error}")
        if failure is not error:
            traceback.print_exc()
        print(failure, flush=True)
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output/failure").write_text(str(failure), encoding="utf-8")
        return 1
    return 0


def _train(root: Path, caches: ExitStack) -> None:
    report = Report(_json(root / "input/config/resourceconfig.json").get("current_host", "algo-1"))
    given = _json(root / "input/config/hyperparameters.json")
    print("Docker entrypoint called with argument(s): train")
    defaults = {name: rule.default for name, rule in RULES.items() if rule.default is not None}
    report.info(f"Reading default configuration from default-input.json: {json.dumps(defaults)}")
    report.info(f"Merging with provided configuration from hyperparameters.json: {json.dumps(given)}")
    config = checked(given)
    channels = open_channels(root)
    (root / "output").mkdir(parents=True, exist_ok=True)

    def new(columns: int) -> Cache:
        cache = Cache(root / "output", columns)
        caches.callback(cache.close)
        return cache

    train, scaler, class_rows = _load_train(channels.pop("train"), config, new)
    if train.rows < int(config["mini_batch_size"]):
        raise ClientError(
            f"mini_batch_size ({config['mini_batch_size']}) is larger than the number of rows in the train channel"
            f" ({train.rows}); give a smaller mini_batch_size"
        )
    full = config["optimizer"] == AUTO
    config = resolve(config, len(scaler.shift) - 1, train.rows)
    report.info(f"Final configuration: {json.dumps(config)}")
    others = {name: _load(name, channel.blocks(), scaler, config, new)[0] for name, channel in channels.items()}
    settings = grid(config, train.rows, class_rows)
    pack = Pack(config, settings, class_rows, np.random.default_rng(SEED))
    validation = others.get("validation")
    by_criterion = CRITERION in given and config["predictor_type"] == BINARY
    fitted = fit(pack, train, validation, config, report, by_criterion=by_criterion, full=full)
    for name, cache in {"train": train, **others}.items():
        report.final(name, measure(fitted.pack, cache, config, fitted.cut, float(scaler.scale[0])))
    if "test" not in others:
        report.info("Test data is not provided.")
    best = {name: float(getattr(settings, name)[fitted.model]) for name in ("learning_rate", "wd", "l1")}
    kept = ("optimizer", "lr_scheduler_step", "lr_scheduler_factor", "lr_scheduler_minimum_lr")
    report.info(f"Best model found for hyperparameters: {json.dumps({**{n: config[n] for n in kept}, **best})}")
    path = artifact.write(_model(fitted, scaler, config), root / "model")
    report.info(f'Saved checkpoint to "{path}"')


def _load_train(channel: Channel, config: Config, new: Callable[[int], Cache]) -> tuple[Cache, Scaler, Floats]:
    """The train channel normalised, by what its first rows say, and the rows of each class."""
    blocks = channel.blocks()
    first: list[Floats] = []
    for block in blocks:
        first.append(block)
        if sum(map(len, first)) >= int(config["num_point_for_scaler"]):
            break
    sample = np.concatenate(first)
    width = sample.shape[1] - 1
    if (given := config["feature_dim"]) not in (AUTO, width):
        raise ClientError(f"feature_dim is {given}, but the rows of the train channel have {width} features")
    settled = resolve(config, width, 1)
    scaler = Scaler.fit(
        sample[: int(config["num_point_for_scaler"])],
        (bool(settled["normalize_label"]) and config["predictor_type"] == REGRESSOR, bool(settled["normalize_data"])),
        (bool(settled["unbias_label"]) and config["predictor_type"] == REGRESSOR, bool(settled["unbias_data"])),
    )
    cache, class_rows = _load(channel.name, chain(first, blocks), scaler, config, new)
    return cache, scaler, class_rows


def _load(
    name: str, blocks: Iterable[Floats], scaler: Scaler, config: Config, new: Callable[[int], Cache]
) -> tuple[Cache, Floats]:
    """A channel normalised, and its rows of each class."""
    width = len(scaler.shift)
    cache, classes = new(width + 1), _Classes(name, config)

    def scaled(block: Floats) -> Floats:
        if block.shape[1] != width:
            raise ClientError(f"The {name} channel has {block.shape[1] - 1} features, the train channel {width - 1}")
        classes.count(block[:, 0])
        return scaler.apply(block)

    for block in ahead(map(scaled, ahead(blocks))):
        cache.write(block)
    return cache, classes.rows.astype(np.float32)


class _Classes:
    """Counts the rows of each class, and refuses a label that is none; a regressor has no classes."""

    def __init__(self, channel: str, config: Config) -> None:
        self._channel, self._kind = channel, str(config["predictor_type"])
        classes = 0 if self._kind == REGRESSOR else 2 if self._kind == BINARY else outputs(config)
        self.rows = np.zeros(classes, np.int64)
        self._seen = 0

    def count(self, labels: Floats) -> None:
        classes = len(self.rows)
        if classes:
            numbers = labels.astype(np.int64)
            wrong = np.flatnonzero((numbers != labels) | (numbers < 0) | (numbers >= classes))
            if len(wrong):
                raise ClientError(
                    f"The {self._channel} channel, row {self._seen + wrong[0] + 1}: label {labels[wrong[0]]:g} is none"
                    f" of the classes of a {self._kind}, 0 to {classes - 1}"
                )
            self.rows += np.bincount(numbers, minlength=classes)
        self._seen += len(labels)


def _model(fitted: Fitted, scaler: Scaler, config: Config) -> artifact.Model:
    """The model on raw features: (x - shift) / scale goes into the weights, the label's scale too.

    Raises AlgorithmError: a weight is too large for a float32.
    """
    parameters = fitted.pack.parameters.astype(np.float64)
    weights = parameters[:-1] / scaler.scale[1:, None] * scaler.scale[0]
    bias = parameters[-1] * scaler.scale[0] + scaler.shift[0] - scaler.shift[1:] @ weights
    weights, bias = weights.astype(np.float32), bias.astype(np.float32)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise AlgorithmError("a weight is too large for a float32; give the features larger units")
    threshold = None
    if config["predictor_type"] == BINARY:
        threshold = 1 / (1 + math.exp(-fitted.cut)) if config["loss"] == "logistic" else fitted.cut
    balanced = fitted.pack.class_weights if config["balance_multiclass_weights"] else None
    params = artifact.metrics_params(config, threshold, None if balanced is None else balanced[:, 0].tolist())
    return artifact.Model(weights, bias, str(config["predictor_type"]), str(config["loss"]), threshold, params)


def _json(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text()) if path.is_file() else {}
    if not isinstance(document, dict):
        raise ClientError(f"{path} is not a JSON object")
    return document
