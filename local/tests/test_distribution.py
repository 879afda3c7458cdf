"""The distribution alone: installed into an empty environment, it trains a model for the AWS CLI."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1]
ROLE = "arn:aws:iam::123456789012:role/trainer"
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def program(name: str) -> str:
    """A program beside this interpreter, or on the path."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or name


@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(600)
def test_an_installed_copy_trains_a_model_for_the_aws_cli(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "VIRTUAL"))}

    def run(*command: str, **more: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=own | more, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shutil.copytree(SOURCE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run(program("uv"), "venv", "--quiet", "--python", sys.executable, "venv")
    run(program("uv"), "pip", "install", "--quiet", "--python", "venv/bin/python", "./source")
    shutil.rmtree(tmp_path / "source")
    local_aws = str(tmp_path / "venv/bin/local-aws")
    url = run(local_aws, "start", "--port", "0", "--home", "home").split()[3]
    try:
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

        def aws(*arguments: str) -> str:
            return run(program("aws"), *arguments, AWS_ENDPOINT_URL=url, AWS_CONFIG_FILE=os.devnull, **keys)

        policies = [json.dumps({"Version": "2012-10-17", "Statement": statement}) for statement in (TRUST, ALLOW)]
        aws("iam", "create-role", "--role-name", "trainer", "--assume-role-policy-document", policies[0])
        aws(
            "iam", "put-role-policy", "--role-name", "trainer", "--policy-name", "all", "--policy-document", policies[1]
        )
        aws("s3", "mb", "s3://bucket")
        (tmp_path / "rows.csv").write_text("".join(f"{row % 2},{row % 2 + row / 100}\n" for row in range(100)))
        aws("s3", "cp", "rows.csv", "s3://bucket/train/rows.csv")
        channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train/"}}
        request = {
            "TrainingJobName": "first",
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1",
                "TrainingInputMode": "File",
            },
            "HyperParameters": {"predictor_type": "binary_classifier", "mini_batch_size": "10"},
            "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": channel}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        aws("sagemaker", "create-training-job", "--cli-input-json", json.dumps(request))
        aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "first")
        job = json.loads(aws("sagemaker", "describe-training-job", "--training-job-name", "first"))
        assert job["TrainingJobStatus"] == "Completed", job
        assert "model.tar.gz" in aws("s3", "ls", "--recursive", "s3://bucket/models/first/")
    finally:
        run(local_aws, "stop", "--home", "home")
