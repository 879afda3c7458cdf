"""The linear learner as SageMaker runs it: a training job over shards, its metrics, its archive, its refusal."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..aws import Aws
from .data import Split
from .jobs import command, csv, lay_out, unpack

pytestmark = pytest.mark.cloud

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"


def job(aws: Aws, channels: dict[str, str], **hyperparameters: str) -> dict[str, Any]:
    """The description of a job on two instances, which share out the train channel, once it has ended."""
    request = aws.training_request(predictor_type="binary_classifier", **hyperparameters)
    request["AlgorithmSpecification"] = {"TrainingImage": IMAGE, "TrainingInputMode": "FastFile"}
    request["ResourceConfig"]["InstanceCount"] = 2
    request["InputDataConfig"] = [
        {
            "ChannelName": name,
            "ContentType": "text/csv",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": uri,
                    "S3DataDistributionType": "ShardedByS3Key" if name == "train" else "FullyReplicated",
                }
            },
        }
        for name, uri in channels.items()
    ]
    aws.sagemaker.create_training_job(**request)
    return aws.wait("training", request["TrainingJobName"])


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


def test_what_the_container_refuses_is_the_jobs_failure_reason(aws: Aws) -> None:
    uri = aws.put("few/train/0.csv", "1,2\n0,1\n").removesuffix("0.csv")
    assert job(aws, {"train": uri}, mini_batch_siz="1")["FailureReason"] == (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected)"
    )
    assert job(aws, {"train": uri})["FailureReason"] == (
        "ClientError: mini_batch_size (1000) is larger than the number of rows in the train channel (2);"
        " give a smaller mini_batch_size"
    )
