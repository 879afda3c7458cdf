"""The pipeline deployed to a local AWS of its own, with a trained model, and signed calls to its API."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from local_aws.cloud import ACCOUNT, Cloud, running

from bench.process import PROJECT, BenchError
from pipeline.config import Settings, load

REGION = "us-east-1"
UNLIMITED = 10_000.0
WAIT_SCALE = 0.01


@dataclass(frozen=True)
class Deployment:
    """A deployed pipeline: the URL of its API ends with the stage; `seconds` has the duration of each CDK command."""

    cloud: Cloud
    settings: Settings
    url: str
    environment: dict[str, str]
    seconds: dict[str, float]

    def client(self, service: str) -> Any:
        """A client of this local AWS."""
        session = boto3.Session(self.cloud.credentials.key, self.cloud.credentials.secret, region_name=REGION)
        return session.client(service, endpoint_url=self.cloud.endpoint_url)  # type: ignore[call-overload]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.settings.project.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def ops(self, *arguments: str) -> str:
        """The output of an `ops` command. Raises BenchError if it fails."""
        return _output([sys.executable, "-m", "ops", *arguments], self.environment)

    def sign(self, path: str, body: bytes, content_type: str = "application/json") -> dict[str, str]:
        """The headers of a signed POST, valid for five minutes."""
        request = AWSRequest("POST", self.url + path, data=body, headers={"Content-Type": content_type})
        own = self.cloud.credentials
        SigV4Auth(Credentials(own.key, own.secret), "execute-api", REGION).add_auth(request)
        return dict(request.headers)

    def throttle(self, rate: float, burst: int) -> None:
        """Set the stage's limit of calls per second, and its burst."""
        api, stage = self.url.split("/")[-2:]
        changes = [
            {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)}
            for name, value in {"rateLimit": rate, "burstLimit": burst}.items()
        ]
        self.client("apigateway").update_stage(restApiId=api, stageName=stage, patchOperations=changes)

    def delete_endpoint(self) -> None:
        """Delete the endpoint if it exists, so that the next run has no champion, like a first run."""
        sagemaker, name = self.client("sagemaker"), self.settings.project.name
        if any(found["EndpointName"] == name for found in sagemaker.list_endpoints()["Endpoints"]):
            sagemaker.delete_endpoint(EndpointName=name)
            sagemaker.get_waiter("endpoint_deleted").wait(
                EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
            )


@contextmanager
def deploying(config: Path, home: Path | None = None, wait_scale: float = WAIT_SCALE) -> Iterator[Deployment]:
    """A local AWS with the pipeline of `config`, deployed by the CDK CLI. Raises BenchError with the CLI's output.

    Wait states take `wait_scale` of their seconds.
    """
    settings, seconds = load(config), dict[str, float]()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as out,
        running(home=home, environment={"SFN_WAIT_SCALE": f"{wait_scale:g}"}) as cloud,
    ):
        environment = {
            **os.environ,
            **cloud.environment,
            "PATH": f"{PROJECT / '.venv/bin'}:{os.environ['PATH']}",
            "CDK_DEFAULT_ACCOUNT": ACCOUNT,
            "CDK_DEFAULT_REGION": REGION,
            "PIPELINE_CONFIG": str(config),
        }
        _output([sys.executable, "-m", "ops", "bootstrap"], environment)
        for name, arguments in {
            "bootstrap": ["--app", "", f"aws://{ACCOUNT}/{REGION}"],
            "synth": ["--quiet", "--output", out],
            "deploy": ["--all", "--require-approval", "never", "--app", out],
        }.items():
            started = time.monotonic()
            _output([str(PROJECT / "node_modules/.bin/cdk"), name, *arguments], environment)
            seconds[name] = time.monotonic() - started
        url = _output([sys.executable, "-m", "ops", "url"], environment).strip().removesuffix(settings.api.path)
        deployment = Deployment(cloud, settings, url, environment, seconds)
        deployment.throttle(UNLIMITED, 5_000)
        yield deployment


@contextmanager
def deployed(config: str = "pipeline.toml", table: str = "examples/breast_cancer/wdbc.csv") -> Iterator[Deployment]:
    """An example's pipeline after its first run."""
    with deploying(PROJECT / config) as deployment:
        deployment.ops("upload", table)
        deployment.ops("watch")
        yield deployment


def one_row(settings: Settings, number: int = 0) -> str:
    """The body of a request for a golden row."""
    golden = settings.endpoint.golden
    return json.dumps({"data": ",".join(map(repr, golden[number % len(golden)].row))})


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-3000:])
    return done.stdout
