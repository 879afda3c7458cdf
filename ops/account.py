"""The account that a command talks to: AWS, or the local AWS when AWS_ENDPOINT_URL says so. Nothing else differs."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.config import ConfigError, Settings, load

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient


class OpsError(Exception):
    """A command cannot go on; the message says what to do."""


class NotDeployed(OpsError):
    """The stack is not there."""


FAILURES: tuple[type[Exception], ...] = (OpsError, ConfigError, BotoCoreError, ClientError, Boto3Error)
"""What a command turns into one line and exit code 1."""


@dataclass(frozen=True)
class Account:
    """The deployed pipeline: its settings, and the outputs of its stack."""

    settings: Settings
    session: boto3.Session

    @staticmethod
    def of(config: str) -> "Account":
        """The account of the environment's credentials, for the settings at `config`."""
        return Account(load(config), boto3.Session())

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name. Raises NotDeployed."""
        name = self.settings.project.name
        cloudformation: Callable[..., dict[str, list[dict[str, list[dict[str, str]]]]]]
        cloudformation = self.session.client("cloudformation").describe_stacks  # type: ignore[assignment]
        try:
            stack = cloudformation(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise NotDeployed(f"no stack {name} here: run `make up` (local) or `make deploy` (AWS) first") from error
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    @cached_property
    def s3(self) -> "S3Client":
        """A client for the data bucket."""
        return self.session.client("s3")

    @cached_property
    def states(self) -> "SFNClient":
        """A client for the state machine."""
        return self.session.client("stepfunctions")

    @cached_property
    def sagemaker(self) -> "SageMakerClient":
        """A client for the endpoint."""
        return self.session.client("sagemaker")

    @property
    def local(self) -> str:
        """The address of the local AWS, or nothing for AWS itself."""
        return os.environ.get("AWS_ENDPOINT_URL", "")

    @property
    def api_url(self) -> str:
        """Where rows are posted. The local AWS serves an API under a path of its own, as no name resolves to it."""
        url = self.outputs["ApiUrl"].rstrip("/") + self.settings.api.path
        if not self.local:
            return url
        parts = urlsplit(url)
        return f"{self.local}/_aws/execute-api/{parts.netloc.split('.')[0]}{parts.path}"
