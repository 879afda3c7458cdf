"""The training job as a black box: what goes in, what comes out, and what it says when it cannot."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from local_aws.sagemaker.jobs.metrics import LINEAR_LEARNER, MetricReader

from .data import Split, Table, split
from .jobs import command, csv, lay_out, refused, trained, unpack

BINARY = {"predictor_type": "binary_classifier", "mini_batch_size": 20}
RANDOM = np.random.default_rng(0)
TINY = np.column_stack([np.arange(60) % 2, RANDOM.normal(size=(60, 3)) + (np.arange(60) % 2)[:, None]])
COUNT = np.column_stack([np.arange(60) % 3, TINY[:, 1:]])


def test_the_command_leaves_a_model_and_nothing_else(tmp_path: Path) -> None:
    done = command(lay_out(tmp_path, {"train": TINY}, **BINARY))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Docker entrypoint called with argument(s): train\n")
    left = [path.relative_to(tmp_path) for folder in ("model", "output") for path in (tmp_path / folder).rglob("*")]
    assert left == [Path("model/model_algo-1")]


def test_the_command_fails_with_its_reason_on_standard_output_and_in_the_failure_file(tmp_path: Path) -> None:
    done = command(lay_out(tmp_path, {"train": TINY}, predictor_type="binary_classifier"))
    reason = (
        "ClientError: mini_batch_size (1000) is larger than the number of rows in the train channel (60);"
        " give a smaller mini_batch_size"
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == reason
    assert (tmp_path / "output/failure").read_text() == reason


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, wdbc: Split) -> None:
    given = {"predictor_type": "binary_classifier", "mini_batch_size": 32}
    roots = [lay_out(tmp_path / name, {"train": wdbc.train}, **given) for name in "ab"]
    for root in roots:
        trained(root)
    first, second = ((root / "model/model_algo-1").read_bytes() for root in roots)
    assert first == second


def test_shards_and_gzip_are_the_same_data(tmp_path: Path) -> None:
    shards = {"algo-1/a.csv": csv(TINY[:25]) + b"\n", "algo-2/b.csv.gz": gzip.compress(csv(TINY[25:])), ".skip": b"x"}
    trained(lay_out(tmp_path / "whole", {"train": TINY}, **BINARY))
    trained(lay_out(tmp_path / "parts", {"train": shards}, "text/csv; label_size=1", **BINARY))
    whole, parts = (unpack(tmp_path / name) for name in ("whole", "parts"))
    assert np.array_equal(whole.weights, parts.weights)


def test_a_large_file_is_parsed_in_blocks_as_a_small_one_is(tmp_path: Path) -> None:
    rows = np.round(np.random.default_rng(0).normal(size=(30_000, 30)), 6)
    table = np.column_stack([rows[:, 0] > 0, rows])
    text = csv(table)
    assert len(text) > 2 * (4 << 20)
    lines = text.split(b"\n")
    shards = {f"{part}.csv": b"\n".join(lines[part * 3000 : (part + 1) * 3000]) for part in range(10)}
    given = {**BINARY, "mini_batch_size": 1000, "epochs": 1, "num_models": 1, "optimizer": "adam"}
    trained(lay_out(tmp_path / "large", {"train": text}, **given))
    trained(lay_out(tmp_path / "small", {"train": shards}, **given))
    assert np.array_equal(unpack(tmp_path / "large").weights, unpack(tmp_path / "small").weights)


def test_a_fault_late_in_a_large_file_is_found(tmp_path: Path) -> None:
    text = b"1,0.123456789,2\n" * 700_000 + b"1,x,2\n" + b"0,1,2\n" * 10
    reason = refused(lay_out(tmp_path, {"train": text}, **BINARY))
    assert reason == (
        f"ClientError: Unable to parse csv: rows 700001-700001, file {tmp_path}/input/data/train/part-0:"
        " row 700001, column 2: 'x' is not a finite number"
    )


@pytest.mark.parametrize(
    ("channels", "content_type", "reason"),
    [
        ({"train": b"1,2\n0,x"}, "text/csv", "Unable to parse csv: rows 2-2, file {}: row 2, column 2: 'x' is not a"),
        (
            {"train": b"1,2\n0"},
            "text/csv",
            "Unable to parse csv: rows 2-2, file {}: row 2, 1 columns where the first row",
        ),
        ({"train": b"1,nan"}, "text/csv", "row 1, column 2: 'nan' is not a finite number"),
        ({"train": b"2,1\n0,1"}, "text/csv", "The train channel, row 1: label 2 is none of the classes of a binary_cl"),
        ({"train": b""}, "text/csv", "The train channel has no rows"),
        ({"train": TINY}, "csv", "No iterator has been registered for ContentType (u'csv', '1.0')"),
        ({"train": TINY}, None, "Unable to read {}: record 1: it does not begin with RecordIO's magic number"),
        ({"train": TINY}, "text/csv;label_size=0", "Channel train: label_size is 0; the label is one column"),
        ({"validation": TINY}, "text/csv", "u'train' is a required property"),
        ({"train": TINY, "training": TINY}, "text/csv", "Additional properties are not allowed (u'training' was unexp"),
        (
            {"train": TINY, "validation": TINY[:, :3]},
            "text/csv",
            "The validation channel has 2 features, the train cha",
        ),
        ({"train": {"a": b"1,2", "b": b"1,2,3"}}, "text/csv", "rows of 2 features after rows of 1"),
    ],
)
def test_bad_data_is_a_client_error_that_says_where(
    tmp_path: Path, channels: dict[str, bytes], content_type: str | None, reason: str
) -> None:
    given = refused(lay_out(tmp_path, channels, content_type, **BINARY))
    assert given.startswith("ClientError: ")
    assert reason.format(tmp_path / "input/data/train/part-0") in given


def set_input_mode(root: Path, mode: str) -> None:
    config = root / "input/config/inputdataconfig.json"
    config.write_text(json.dumps({"train": {"ContentType": "text/csv", "TrainingInputMode": mode}}))


@pytest.mark.parametrize("mode", ["FastFile", "Pipe"])
def test_streaming_modes_are_read_as_file_mode_is(tmp_path: Path, mode: str) -> None:
    for name in ("File", mode):
        set_input_mode(lay_out(tmp_path / name, {"train": TINY}, **BINARY), name)
        trained(tmp_path / name)
    assert np.array_equal(unpack(tmp_path / "File").weights, unpack(tmp_path / mode).weights)


def test_a_fault_of_ours_is_an_algorithm_error(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train": TINY}, **BINARY)
    (tmp_path / "input/config/hyperparameters.json").write_text("{")
    assert refused(tmp_path).startswith("AlgorithmError: JSONDecodeError: ")


@pytest.mark.parametrize(
    ("features", "given", "reason"),
    [
        (TINY, {"learning_rate": 1e30}, "the loss of every model is infinite; lower learning_rate"),
        (TINY, {"optimizer": "adam", "init_bias": 1e300}, "the loss of every model is infinite; lower learning_rate"),
        (TINY * [1, 1e-40, 1, 1], {}, "a weight is too large for a float32; give the features larger units"),
    ],
)
def test_a_model_that_is_not_finite_is_not_saved(
    tmp_path: Path, features: Table, given: dict[str, float], reason: str
) -> None:
    done = command(lay_out(tmp_path, {"train": features}, predictor_type="regressor", mini_batch_size=20, **given))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == f"AlgorithmError: {reason}"
    assert not (tmp_path / "model").exists()


def metrics(log: str) -> set[str]:
    reader = MetricReader(LINEAR_LEARNER)
    for line in log.splitlines():
        reader.read(line)
    return {metric["MetricName"] for metric in reader.final()}


PROGRESS = {"train:progress", "train:throughput"}


def objectives(*channels: str) -> set[str]:
    return {f"{channel}:objective_loss{part}" for channel in channels for part in ("", ":final")}


def test_the_service_reads_every_metric_of_a_binary_classifier(wdbc_job: tuple[Path, str]) -> None:
    _, log = wdbc_job
    names = ("binary_classification_accuracy", "binary_f_beta", "precision", "recall")
    each = {f"{channel}:{name}" for channel in ("train", "validation", "test") for name in names}
    auc = {"validation:roc_auc_score", "test:roc_auc_score"}
    assert metrics(log) == PROGRESS | objectives("train", "validation") | {"test:objective_loss"} | each | auc
    assert "Test data is not provided." not in log
    assert log.count("#metrics ") == 2 * 32 * log.count("#early_stopping_criteria_metric")
    assert "] Best model found for hyperparameters: {" in log


def test_the_service_reads_every_metric_of_the_other_types(tmp_path: Path) -> None:
    wine, diabetes = split("wine"), split("diabetes")
    given = {"predictor_type": "multiclass_classifier", "num_classes": 3, "mini_batch_size": 20}
    log = trained(lay_out(tmp_path / "wine", {"train": wine.train, "validation": wine.validation}, **given))
    names = (
        "multiclass_accuracy",
        "multiclass_top_k_accuracy",
        "dcg",
        "macro_recall",
        "macro_precision",
        "macro_f_beta",
    )
    assert metrics(log) == PROGRESS | objectives("train", "validation") | {f"validation:{name}" for name in names}
    assert "Test data is not provided." in log
    given = {"predictor_type": "regressor", "mini_batch_size": 20}
    log = trained(lay_out(tmp_path / "d", {"train": diabetes.train, "validation": diabetes.validation}, **given))
    errors = {f"{channel}:{name}" for channel in ("train", "validation") for name in ("mse", "absolute_loss")}
    assert metrics(log) == PROGRESS | objectives("train", "validation") | errors | {"validation:rmse"}


def test_the_final_configuration_has_nothing_left_to_resolve_but_the_grid(wdbc_job: tuple[Path, str]) -> None:
    line = next(line for line in wdbc_job[1].splitlines() if "Final configuration: " in line)
    config = json.loads(line.partition("Final configuration: ")[2])
    assert {name for name, value in config.items() if value == "auto"} == {"learning_rate", "wd", "l1"}
    assert (config["feature_dim"], config["num_models"], config["loss"]) == (30, 32, "logistic")
