"""The training program: its input, its model, its log and its errors; and the training job that runs it."""

import gzip
import io
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_aws.sagemaker.jobs.metrics import LINEAR_LEARNER, MetricReader

from ..aws import Aws, channel
from .data import HYPERPARAMETERS, Split, of_type, split
from .jobs import command, csv, lay_out, refused, trained, unpack

REFUSALS = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8"))
BINARY = {"predictor_type": "binary_classifier", "mini_batch_size": 20}
RANDOM = np.random.default_rng(0)
TINY = np.column_stack([np.arange(60) % 2, RANDOM.normal(size=(60, 3)) + (np.arange(60) % 2)[:, None]])


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
    for name in "ab":
        trained(lay_out(tmp_path / name, {"train": wdbc.train}, **given))
    first, second = ((tmp_path / name / "model/model_algo-1").read_bytes() for name in "ab")
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


@pytest.mark.parametrize("case", REFUSALS["channels"])
def test_bad_data_is_a_client_error_with_its_location(tmp_path: Path, case: dict[str, Any]) -> None:
    content_type, given = case.get("content_type", "text/csv") or None, BINARY | case.get("given", {})
    reason = refused(lay_out(tmp_path, case["channels"], content_type, **given))
    assert reason.startswith("ClientError: ")
    assert case["reason"].format(tmp_path / "input/data/train/part-0") in reason


def test_a_fault_of_ours_is_an_algorithm_error(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train": TINY}, **BINARY)
    (tmp_path / "input/config/hyperparameters.json").write_text("{")
    assert refused(tmp_path).startswith("AlgorithmError: JSONDecodeError: ")


@pytest.mark.parametrize("case", REFUSALS["infinite"])
def test_an_infinite_model_is_not_saved(tmp_path: Path, case: dict[str, Any]) -> None:
    given = {"predictor_type": "regressor", "mini_batch_size": 20, **case["given"]}
    done = command(lay_out(tmp_path, {"train": TINY * case["units"]}, **given))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == f"AlgorithmError: {case['reason']}"
    assert not (tmp_path / "model").exists()


def metrics(log: str) -> set[str]:
    reader = MetricReader(LINEAR_LEARNER)
    for line in log.splitlines():
        reader.read(line)
    return {metric["MetricName"] for metric in reader.final()}


@pytest.mark.parametrize("case", HYPERPARAMETERS["metrics"], ids=lambda case: case["data"])
def test_the_service_reads_every_metric(tmp_path: Path, wdbc_job: tuple[Path, str], case: dict[str, Any]) -> None:
    if case["data"] == "wdbc":
        log, channels = wdbc_job[1], ("train", "validation", "test")
    else:
        data, channels = split(case["data"]), ("train", "validation")
        tables = {"train": data.train, "validation": data.validation}
        log = trained(lay_out(tmp_path, tables, **of_type(data.kind, mini_batch_size=20)))
    expected = {f"{channel}:{name}" for channel in channels for name in case["each"]} | set(case["own"])
    assert metrics(log) == expected | {"train:progress", "train:throughput"}
    assert ("Test data is not provided." in log) == ("test" not in channels)


def test_the_log_has_the_losses_of_each_model_and_epoch(wdbc_job: tuple[Path, str]) -> None:
    log = wdbc_job[1]
    assert log.count("#metrics ") == 2 * 32 * log.count("#early_stopping_criteria_metric")
    assert "] Best model found for hyperparameters: {" in log


def test_the_final_configuration_has_nothing_left_to_resolve_but_the_grid(wdbc_job: tuple[Path, str]) -> None:
    line = next(line for line in wdbc_job[1].splitlines() if "Final configuration: " in line)
    config = json.loads(line.partition("Final configuration: ")[2])
    assert {name for name, value in config.items() if value == "auto"} == {"learning_rate", "wd", "l1"}
    assert (config["feature_dim"], config["num_models"], config["loss"]) == (30, 32, "logistic")


IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"


def trained_by_service(aws: Aws, channels: dict[str, str], **hyperparameters: str) -> dict[str, Any]:
    """The description of a job on two instances, which share the train channel, after its end."""
    sharing = {"train": "ShardedByS3Key", "validation": "FullyReplicated"}
    return aws.trained(
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "FastFile"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        InputDataConfig=[channel(name, uri, S3DataDistributionType=sharing[name]) for name, uri in channels.items()],
        predictor_type="binary_classifier",
        **hyperparameters,
    )


def test_two_instances_train_one_model_on_all_shards(aws: Aws, wdbc: Split, tmp_path: Path) -> None:
    for number, shard in enumerate(np.array_split(wdbc.train, 3)):
        aws.put(f"wdbc/train/{number}.csv", csv(shard))
    aws.put("wdbc/validation/0.csv", csv(wdbc.validation))
    uris = {name: f"s3://{aws.bucket}/wdbc/{name}/" for name in ("train", "validation")}
    ended = trained_by_service(aws, uris, mini_batch_size="32")
    assert ended["TrainingJobStatus"] == "Completed", ended["FailureReason"]
    metrics = {metric["MetricName"]: metric["Value"] for metric in ended["FinalMetricDataList"]}
    assert metrics["validation:binary_classification_accuracy"] > 0.95
    assert metrics["train:throughput"] > 0
    assert 0 < metrics["validation:objective_loss:final"] < 0.2
    key = ended["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{aws.bucket}/")
    with tarfile.open(fileobj=io.BytesIO(aws.read(key))) as archive:
        assert archive.getnames() == ["model_algo-1"]
        archive.extractall(tmp_path / "job/model", filter="data")
    channels = {"train": wdbc.train, "validation": wdbc.validation}
    alone = lay_out(tmp_path / "alone", channels, predictor_type="binary_classifier", mini_batch_size=32)
    assert command(alone).returncode == 0
    assert np.array_equal(unpack(tmp_path / "job").weights, unpack(tmp_path / "alone").weights)


def test_an_error_of_the_program_is_the_jobs_failure_reason(aws: Aws) -> None:
    uri = aws.put("few/train/0.csv", "1,2\n0,1\n").removesuffix("0.csv")
    assert trained_by_service(aws, {"train": uri}, mini_batch_siz="1")["FailureReason"] == (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected)"
    )
