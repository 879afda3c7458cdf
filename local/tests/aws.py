"""What the tests of the local AWS have in common: clients, things to put there, and waiting."""

import io
import json
import sys
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from local_aws.cloud import Cloud

STUB = "123456789012.dkr.ecr.us-east-1.amazonaws.com/stub:1"
SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ROLE = "arn:aws:iam::123456789012:role/anyone"
T = TypeVar("T")


def images(folder: Path) -> Path:
    program = [sys.executable, str(Path(__file__).with_name("stub_container.py"))]
    stub = {
        "train": [*program, "train", "--root", "{root}"],
        "serve": [*program, "serve", "--root", "{root}", "--port", "{port}"],
    }
    table = folder / "images.json"
    table.write_text(json.dumps({"stub": stub}))
    return table


@dataclass
class Aws:
    """Clients of the local AWS and the few things that every test needs."""

    cloud: Cloud

    def __post_init__(self) -> None:
        with suppress(ClientError):  # it is there
            self.role("anyone", ["sagemaker", "states"], EVERYTHING)

    def client(self, service: str, **config: Any) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(**config),
        )

    @cached_property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    @cached_property
    def runtime(self) -> Any:
        return self.client("sagemaker-runtime")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def logs(self) -> Any:
        return self.client("logs")

    @cached_property
    def states(self) -> Any:
        return self.client("stepfunctions")

    def role(self, name: str, services: list[str], *statements: dict[str, Any]) -> str:
        """A role that these services may act in; its ARN."""
        iam = self.client("iam")
        trusted = [f"{service}.amazonaws.com" for service in services]
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": trusted}}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
        return str(made["Role"]["Arn"])

    @cached_property
    def bucket(self) -> str:
        self.s3.create_bucket(Bucket="things")
        return "things"

    def put(self, key: str, body: bytes | str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"].removeprefix(prefix) for entry in found.get("Contents", [])]

    def lines(self, group: str, prefix: str) -> list[str]:
        group = f"/aws/sagemaker/{group}"
        lines = []
        try:
            streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        for stream in streams:
            found = self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )
            lines += [event["message"] for event in found["events"]]
        return lines

    def training_request(self, **hyperparameters: str) -> dict[str, Any]:
        """CreateTrainingJob's request for a job of the stub."""
        return {
            "TrainingJobName": unique("train"),
            "AlgorithmSpecification": {"TrainingImage": STUB, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "HyperParameters": hyperparameters,
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/trained"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }

    def train(self, **hyperparameters: str) -> str:
        """Start a training job of the stub."""
        request = self.training_request(**hyperparameters)
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def model(self, label: str, **environment: str) -> str:
        """A model of the stub that answers with this label before each line."""
        name = unique(label)
        url = self.put(f"models/{name}/model.tar.gz", packed("model.json", json.dumps({"label": label})))
        container = {"Image": STUB, "ModelDataUrl": url, "Environment": environment}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def serve(self, name: str, model: str = "", count: int = 1, wait: bool = True, **config: Any) -> str:
        """An endpoint of this name and of a config of the same name for a model, `name` unless given."""
        self.config(name, model or name, count, **config)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        if wait:
            self.settled(name)
        return name

    def config(self, name: str, model: str, count: int = 1, **members: Any) -> str:
        """An endpoint config of one variant; `members` are the config's, InstanceType is the variant's."""
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InitialInstanceCount": count,
            "InstanceType": members.pop("InstanceType", "ml.t2.medium"),
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **members)
        return name

    def endpoint_config(self, label: str, count: int = 1, **environment: str) -> str:
        name = self.model(label, **environment)
        return self.config(name, name, count)

    def endpoint(self, label: str, count: int = 1, **environment: str) -> str:
        """A live endpoint of such a model."""
        name = unique("endpoint")
        config = self.endpoint_config(label, count, **environment)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.settled(name)
        return name

    def function(self, *lines: str) -> str:
        """A Lambda that runs these lines with `event`; its ARN."""
        code, name = io.BytesIO(), unique("function")
        with zipfile.ZipFile(code, "w") as archive:
            body = "".join(f"    {line}\n" for line in lines)
            head = "import boto3, json, os\nclass LeaseHeld(Exception): ...\ndef handle(event, context):\n"
            archive.writestr("handler.py", head + body)
        made = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=self.role(unique("role"), ["lambda"], EVERYTHING),
            Handler="handler.handle",
            Code={"ZipFile": code.getvalue()},
        )
        return str(made["FunctionArn"])

    def settled(self, endpoint: str) -> dict[str, Any]:
        """The endpoint's description once nothing is under way."""
        waiter = self.sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return dict(self.sagemaker.describe_endpoint(EndpointName=endpoint))

    def invoke(self, endpoint: str, body: bytes | str, **more: str) -> str:
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="text/csv", **more)
        return str(answer["Body"].read().decode())

    def wait(self, kind: str, name: str) -> dict[str, Any]:
        """The job's description once it has ended."""
        describe = getattr(self.sagemaker, f"describe_{kind}_job")
        argument = {f"{kind.title()}JobName": name}

        def ended() -> dict[str, Any] | None:
            job = describe(**argument)
            return dict(job) if job[f"{kind.title()}JobStatus"] not in ("InProgress", "Stopping") else None

        return until(ended)


def policy(*statements: dict[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def packed(name: str, text: str) -> bytes:
    """A gzipped tar archive of one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """Code and message of the refusal of a call."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def until(look: Callable[[], T | None], seconds: float = 30.0) -> T:
    """What `look` finds, as soon as it finds something."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if (found := look()) is not None:
            return found
        pause.wait(0.02)
    raise AssertionError(f"nothing after {seconds} s")
