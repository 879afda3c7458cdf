"""The AWS CLI and SageMaker's SDK work unchanged."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from sklearn.datasets import make_classification

from .aws import ROLE, SYNC, Aws, unique


def cli(aws: Aws, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    program = [str(Path(sys.executable).with_name("aws")), *arguments]
    done = subprocess.run(program, check=False, env=environment | aws.cloud.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.rotated
def test_the_aws_cli_runs_a_machine_and_reads_its_job_and_its_log(aws: Aws, tmp_path: Path) -> None:
    request = aws.training_request(label="cli")
    name = request["TrainingJobName"]
    task = {"Type": "Task", "Resource": SYNC, "Parameters": request, "End": True}
    definition = json.dumps({"StartAt": "Train", "States": {"Train": task}})
    create = ("create-state-machine", "--name", name, "--definition", definition, "--role-arn", ROLE)
    machine = json.loads(cli(aws, "stepfunctions", *create))["stateMachineArn"]
    execution = json.loads(cli(aws, "stepfunctions", "start-execution", "--state-machine-arn", machine))["executionArn"]
    cli(aws, "sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", name)
    described = json.loads(cli(aws, "sagemaker", "describe-training-job", "--training-job-name", name))
    assert described["TrainingJobStatus"] == "Completed"
    group = ("--log-group-name", "/aws/sagemaker/TrainingJobs")
    found = cli(aws, "logs", "describe-log-streams", *group, "--log-stream-name-prefix", f"{name}/")
    stream = json.loads(found)["logStreams"][0]["logStreamName"]
    events = json.loads(cli(aws, "logs", "get-log-events", *group, "--log-stream-name", stream))["events"]
    assert events[0]["message"] == "input input/config/hyperparameters.json"
    cli(aws, "s3", "cp", described["ModelArtifacts"]["S3ModelArtifacts"], str(tmp_path / "model.tar.gz"))
    assert (tmp_path / "model.tar.gz").stat().st_size > 0
    assert "model.tar.gz" in cli(aws, "s3", "ls", "--recursive", f"s3://{aws.bucket}/trained/{name}/")
    described = json.loads(cli(aws, "stepfunctions", "describe-execution", "--execution-arn", execution))
    assert described["status"] == "SUCCEEDED"


def test_the_aws_cli_invokes_an_endpoint(aws: Aws, tmp_path: Path) -> None:
    name = aws.endpoint("cli")
    (tmp_path / "row").write_text("1,2")
    arguments = ("--endpoint-name", name, "--content-type", "text/csv", "--body", f"fileb://{tmp_path / 'row'}")
    answer = json.loads(cli(aws, "sagemaker-runtime", "invoke-endpoint", *arguments, str(tmp_path / "answer")))
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert (tmp_path / "answer").read_text() == "cli:1,2"
    assert name in cli(aws, "sagemaker", "list-endpoints", "--name-contains", name)


def sdk(aws: Aws) -> tuple[Any, Any]:
    """SageMaker's SDK and a session of it."""
    sagemaker = pytest.importorskip("sagemaker")
    boto = boto3.Session(aws.cloud.credentials.key, aws.cloud.credentials.secret, region_name="us-east-1")
    for method in ("client", "resource"):
        setattr(boto, method, functools.partial(getattr(boto, method), endpoint_url=aws.cloud.endpoint_url))
    config = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    options = {"default_bucket": aws.bucket, "sagemaker_config": config}
    return sagemaker, sagemaker.Session(boto, aws.sagemaker, aws.runtime, **options)


@pytest.mark.rotated
@pytest.mark.filterwarnings("ignore")
def test_the_sagemaker_sdk_fits_deploys_and_predicts(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    sagemaker, session = sdk(aws)
    features, labels = make_classification(400, 5, random_state=7)
    rows = np.column_stack([labels, features])
    for part, lines in (("train", rows[:300]), ("validation", rows[300:])):
        aws.put(f"sdk/{part}/rows.csv", "\n".join(",".join(map(str, line)) for line in lines))
    where = {"output_path": f"s3://{aws.bucket}/sdk/models", "sagemaker_session": session}
    given = {"predictor_type": "binary_classifier", "feature_dim": 5, "mini_batch_size": 50}
    image = sagemaker.image_uris.retrieve("linear-learner", "us-east-1")
    estimator: Any = sagemaker.estimator.Estimator(image, ROLE, 1, "ml.m5.large", hyperparameters=given, **where)
    source = functools.partial(sagemaker.inputs.TrainingInput, content_type="text/csv")
    inputs = {part: source(f"s3://{aws.bucket}/sdk/{part}/") for part in ("train", "validation")}
    estimator.fit(inputs, job_name=unique("sdk"))
    attached = sagemaker.estimator.Estimator.attach(estimator.latest_training_job.name, session)
    assert attached.model_data == estimator.model_data
    printed = capsys.readouterr().out
    assert "Training - Training in-progress." in printed or "Training job completed" in printed
    assert "#quality_metric: host=algo-1, validation binary_classification_accuracy <score>=" in printed
    final = estimator.latest_training_job.describe()["FinalMetricDataList"]
    metrics = {entry["MetricName"]: entry["Value"] for entry in final}
    assert metrics["validation:binary_classification_accuracy"] > 0.8
    formats = {
        "serializer": sagemaker.serializers.CSVSerializer(),
        "deserializer": sagemaker.deserializers.JSONDeserializer(),
    }  # the SDK polls every 30 s, hence wait=False
    predictor = estimator.deploy(1, "ml.t2.medium", endpoint_name=unique("sdk"), wait=False, **formats)
    aws.settled(predictor.endpoint_name)
    predictions = predictor.predict(features[:3])["predictions"]
    assert [sorted(prediction) for prediction in predictions] == [["predicted_label", "score"]] * 3
    predictor.delete_endpoint()
    kinds = {"content_types": ["text/csv"], "response_types": ["application/json"]}
    registered = estimator.register(**kinds, model_package_group_name=unique("sdk"))
    card = aws.sagemaker.describe_model_package(ModelPackageName=registered.model_package_arn)["ModelCard"]
    content = json.loads(card["ModelCardContent"])["training_details"]["training_job_details"]
    assert content["training_arn"] == estimator.latest_training_job.describe()["TrainingJobArn"]
