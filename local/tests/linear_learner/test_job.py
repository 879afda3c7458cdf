"""The linear learner as SageMaker runs it: a training job over shards, its metrics, its archive, its refusal."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..aws import Aws, channel
from .data import Split
from .jobs import command, csv, lay_out, unpack

pytestmark = pytest.mark.cloud

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"


def job(aws: Aws, channels: dict[str, str], **hyperparameters: str) -> dict[str, Any]:
    """The description of a job on two instances, which share the train channel, after its end."""
    distribution = {"train": "ShardedByS3Key", "validation": "FullyReplicated"}
    return aws.trained(
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "FastFile"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        InputDataConfig=[
            channel(name, uri, S3DataDistributionType=distribution[name]) for name, uri in channels.items()
        ],
        predictor_type="binary_classifier",
        **hyperparameters,
    )


def test_two_instances_train_one_model_on_all_shards(aws: Aws, wdbc: Split, tmp_path: Path) -> None:
    for number, shard in enumerate(np.array_split(wdbc.train, 3)):
        aws.put(f"wdbc/train/{number}.csv", csv(shard))
    aws.put("wdbc/validation/0.csv", csv(wdbc.validation))
    uris = {name: f"s3://{aws.bucket}/wdbc/{name}/" for name in ("train", "validation")}
    ended = job(aws, uris, mini_batch_size="32")
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
    assert job(aws, {"train": uri}, mini_batch_siz="1")["FailureReason"] == (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected)"
    )
    assert job(aws, {"train": uri})["FailureReason"] == (
        "ClientError: mini_batch_size (1000) is larger than the number of rows in the train channel (2);"
        " give a smaller mini_batch_size"
    )
