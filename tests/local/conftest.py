"""The local AWS that the tests of this folder share, with one further image: `stub`."""

import io
import json
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.cloud import Cloud, running

STUB = "123456789012.dkr.ecr.us-east-1.amazonaws.com/stub:1"
SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
ROLE = "arn:aws:iam::123456789012:role/anyone"


def images(folder: Path) -> Path:
    program = [sys.executable, str(Path(__file__).with_name("stub_container.py"))]
    stub = {
        "train": [*program, "train", "--root", "{root}"],
        "serve": [*program, "serve", "--root", "{root}", "--port", "{port}"],
    }
    table = folder / "images.json"
    table.write_text(json.dumps({"stub": stub}))
    return table


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A local AWS whose model servers get 5 s to start and whose jobs get 1 s to stop."""
    folder = tmp_path_factory.mktemp("cloud")
    settings = {
        "SAGEMAKER_IMAGES": str(images(folder)),
        "SAGEMAKER_STARTUP_SECONDS": "5",
        "SAGEMAKER_GRACE_SECONDS": "1",
        "_SFN_WAIT_SCALE": "0.1",
    }
    with running(home=folder / "home", environment=settings) as started:
        yield started


@dataclass
class Aws:
    """Clients of the local AWS and the few things that every test needs."""

    cloud: Cloud

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
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
        found = self.logs.filter_log_events(logGroupName=group, logStreamNamePrefix=prefix)
        return [event["message"] for event in found["events"]]

    def model(self, label: str, **environment: str) -> str:
        """A model of the stub that answers with this label before each line."""
        name = unique(label)
        archive = io.BytesIO()
        text = json.dumps({"label": label}).encode()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            entry = tarfile.TarInfo("model.json")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        url = self.put(f"models/{name}/model.tar.gz", archive.getvalue())
        container = {"Image": STUB, "ModelDataUrl": url, "Environment": environment}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def endpoint_config(self, label: str, count: int = 1, **environment: str) -> str:
        name = self.model(label, **environment)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": count,
            "InstanceType": "ml.t2.medium",
            "InitialVariantWeight": 1.0,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def endpoint(self, label: str, count: int = 1, **environment: str) -> str:
        """A live endpoint of such a model."""
        name = unique("endpoint")
        config = self.endpoint_config(label, count, **environment)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.settled(name)
        return name

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
        pause = __import__("threading").Event()
        for _ in range(600):
            job = describe(**argument)
            if job[f"{kind.title()}JobStatus"] not in ("InProgress", "Stopping"):
                return dict(job)
            pause.wait(0.05)
        raise AssertionError(f"{name} does not end: {job}")


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def aws(cloud: Cloud) -> Aws:
    return Aws(cloud)
