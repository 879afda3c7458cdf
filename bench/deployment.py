"""The pipeline on a local AWS of its own, with a model that a run has trained, and signed calls to its API."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.process import PROJECT, BenchError
from local.cloud import ACCOUNT, Cloud, running
from pipeline.config import Settings, load

REGION = "us-east-1"
UNLIMITED = 10_000.0


@dataclass(frozen=True)
class Deployment:
    """A deployed API: `url` ends with the stage; `path` is where one row is posted."""

    cloud: Cloud
    settings: Settings
    url: str

    @property
    def path(self) -> str:
        """The post's path."""
        return self.settings.api.path

    def sign(self, path: str, body: bytes, content_type: str = "application/json") -> dict[str, str]:
        """The headers of a POST that AWS would let in; good for five minutes."""
        request = AWSRequest("POST", self.url + path, data=body, headers={"Content-Type": content_type})
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
        return dict(request.headers)

    def throttle(self, rate: float, burst: int) -> None:
        """Let the stage take so many calls a second."""
        gateway = boto3.client("apigateway", REGION, endpoint_url=self.cloud.endpoint_url,
                               aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip # noqa: S106
        stage = self.url.rpartition("/")
        limits = {"rateLimit": rate, "burstLimit": burst}
        gateway.update_stage(
            restApiId=stage[0].rpartition("/")[2],
            stageName=stage[2],
            patchOperations=[
                {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)}
                for name, value in limits.items()
            ],
        )


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Deploy with the CDK CLI, upload the example, wait for its run. Raises BenchError with what a command said."""
    settings = load(PROJECT / "pipeline.toml")
    with tempfile.TemporaryDirectory(prefix="bench-") as out, running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        environment = {
            **os.environ,
            **cloud.environment,
            "PATH": f"{PROJECT / '.venv/bin'}:{os.environ['PATH']}",
            "CDK_DEFAULT_ACCOUNT": ACCOUNT,
            "CDK_DEFAULT_REGION": REGION,
        }
        cdk, ops = [str(PROJECT / "node_modules/.bin/cdk")], [sys.executable, "-m", "ops"]
        _said([*cdk, "bootstrap", "--app", "", f"aws://{ACCOUNT}/{REGION}"], environment)
        _said([*cdk, "deploy", "--all", "--require-approval", "never", "--output", out], environment)
        _said([*ops, "upload", "examples/breast_cancer/wdbc.csv"], environment)
        _said([*ops, "watch"], environment)
        url = _said([*ops, "url"], environment).strip().removesuffix(settings.api.path)
        deployment = Deployment(cloud, settings, url)
        deployment.throttle(UNLIMITED, 5_000)
        yield deployment


def one_row(settings: Settings, number: int = 0) -> str:
    """The body of the post for a golden row."""
    golden = settings.endpoint.golden
    return json.dumps({"data": ",".join(map(repr, golden[number % len(golden)].row))})


def _said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-3000:])
    return done.stdout
