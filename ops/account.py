"""The account that a command talks to: AWS, or the local AWS when AWS_ENDPOINT_URL names one."""

import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.config import ConfigError, Settings, load

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef


class OpsError(Exception):
    """A command cannot go on; the message says what to do."""


class NotDeployed(OpsError):
    """There is no stack of the project."""


class NothingToDo(OpsError):
    """There is nothing to do or to show yet: exit code 4."""


OF_AWS: tuple[type[Exception], ...] = (BotoCoreError, ClientError, Boto3Error)
"""AWS refused or did not answer."""
FAILURES: tuple[type[Exception], ...] = (OpsError, ConfigError, OSError, *OF_AWS)
"""Errors that a command prints as one line, with exit code 1 or 4."""


MACHINES = ("StateMachine", "DeployMachine", "DriftMachine", "ScoreMachine")
"""The stack's outputs with the state machines; without batch scoring the last is missing."""


@dataclass(frozen=True)
class Account:
    """The deployed pipeline: its settings and their file, and the outputs of its stack."""

    settings: Settings
    session: boto3.Session
    config: str = "pipeline.toml"

    @staticmethod
    def of(config: str) -> "Account":
        """The account of the environment's credentials, for the settings file `config`."""
        return Account(load(config), boto3.Session(), config)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name. Raises NotDeployed."""
        name = self.settings.project.name
        try:
            stack = self.session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise NotDeployed(f"no stack {name} here: run `make up` (local) or `make deploy` (AWS) first") from error
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def definition(self, machine: str) -> dict[str, Any]:
        """The definition of the state machine that a stack output names, in Amazon States Language."""
        found = self.states.describe_state_machine(stateMachineArn=self.outputs[machine])
        return dict(json.loads(found["definition"]))

    @property
    def machines(self) -> list[str]:
        """The ARNs of the state machines."""
        return [self.outputs[name] for name in MACHINES if name in self.outputs]

    @cached_property
    def s3(self) -> "S3Client":
        """A client for the data bucket."""
        return self.session.client("s3")

    @cached_property
    def states(self) -> "SFNClient":
        """A client for the state machines."""
        return self.session.client("stepfunctions")

    @cached_property
    def sagemaker(self) -> "SageMakerClient":
        """A client for jobs, the model registry and the endpoint."""
        return self.session.client("sagemaker")

    def executions(self, *machines: str) -> Iterator["ExecutionListItemTypeDef"]:
        """The executions of the state machines that stack outputs name, newest first."""
        paginate = self.states.get_paginator("list_executions").paginate
        listed = (paginate(stateMachineArn=self.outputs[machine]).search("executions[]") for machine in machines)
        return heapq.merge(*listed, key=lambda execution: execution["startDate"], reverse=True)

    @property
    def local(self) -> str:
        """The address of the local AWS; empty for AWS itself."""
        return os.environ.get("AWS_ENDPOINT_URL", "")

    @property
    def pause(self) -> float:
        """Seconds between two requests while a command waits: AWS limits their rate, the local AWS does not."""
        return 0.25 if self.local else 2.0

    @property
    def api_url(self) -> str:
        """The URL that rows are posted to. The local AWS serves an API below its own address: it has no DNS."""
        url = self.outputs["ApiUrl"].rstrip("/") + self.settings.api.path
        parts = urlsplit(url)
        return f"{self.local}/_aws/execute-api/{parts.netloc.split('.')[0]}{parts.path}" if self.local else url
