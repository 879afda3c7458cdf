"""What the states of a machine share: ports, sizes, job definitions, and the calls of Lambda functions and APIs.

A port, `${Name}`, is a placeholder that the stack fills: the definition names no ARN, account, region or bucket.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import boto3
from sagemaker.network import NetworkConfig
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sagemaker.session import Session

from pipeline import resource_names
from pipeline.asl import Catch, Chain, Graph, Intrinsic, ProcessingStep, Retry, State, Task, caught, retried

if TYPE_CHECKING:
    from pipeline.config import Settings

KEY = "${DataKey}"
ROLE = "${SageMakerRole}"
OPT = "/opt/ml/processing"
START_UP_SECONDS = 900
"""Allowed to a job beside its own MaxRuntimeInSeconds, for instances to start and data to move."""
Definition = dict[str, Any]
"""A state machine in Amazon States Language."""


@cache
def session() -> Session:
    """The session that the SDK's objects require; rendering the definition makes no call."""
    return Session(boto_session=boto3.Session(region_name="us-east-1"), default_bucket="${DataBucket}")


@dataclass(frozen=True)
class Building:
    """The settings, and the state that each failure goes to."""

    settings: Settings
    on_error: State

    @property
    def project(self) -> str:
        """The first part of every resource's name."""
        return self.settings.project.name

    def guard(self, task: State, on_error: State | None = None, error_path: str = "$.error") -> State:
        """The task with its Retry and Catch."""
        return caught(retried(task), on_error or self.on_error, error_path)

    @property
    def vpc(self) -> dict[str, Any]:
        """The VpcConfig of a request, if the settings have a VPC; a transform job takes its model's."""
        if not self.settings.network.vpc:
            return {}
        return {"VpcConfig": {"SecurityGroupIds": ["${SecurityGroup}"], "Subnets": ["${Subnet1}", "${Subnet2}"]}}

    def call(
        self,
        state_id: str,
        action: str,
        parameters: dict[str, Any],
        *,
        service: str = "sagemaker",
        on_error: State | None = None,
        error_path: str = "$.error",
        **fields: Any,
    ) -> Task:
        """A call by the aws-sdk integration, which takes every parameter that the API has."""
        fields = {"timeout_seconds": 60, "result_path": None} | fields
        resource = f"arn:aws:states:::aws-sdk:{service}:{action}"
        step = Task(state_id, resource=resource, parameters=parameters, **fields)
        self.guard(step, on_error, error_path)
        return step

    def function(
        self,
        state_id: str,
        port: str,
        payload: dict[str, Any],
        *,
        retry: Retry | None = None,
        on_error: State | None = None,
        error_path: str = "$.error",
        pattern: str = "",
        **fields: Any,
    ) -> Task:
        """A call of one of our Lambda functions; `retry` is for the errors by which it says "not yet"."""
        step = Task(
            state_id,
            resource=f"arn:aws:states:::lambda:invoke{pattern}",
            parameters={"FunctionName": f"${{{port}}}", "Payload": payload},
            **({"timeout_seconds": 60} | fields),
        )
        if retry is not None:
            step.add_retry(retry)
        self.guard(step, on_error, error_path)
        return step

    def read_json(self, state_id: str, file: str, result_path: str) -> Task:
        """A JSON file of the execution's folder; the aws-sdk integration answers Body as a string."""
        return self.call(
            state_id,
            "getObject",
            {"Bucket": "${DataBucket}", "Key": resource_names.key(file)},
            service="s3",
            result_path=result_path,
            result_selector={"document": Intrinsic("States.StringToJson($.Body)")},
        )

    def processing(
        self,
        state_id: str,
        *,
        kind: str,
        arguments: list[str],
        inputs: dict[str, str | Intrinsic],
        outputs: list[str],
        instances: int = 1,
    ) -> ProcessingStep:
        """A processing job that runs one command of the jobs' zip; several instances share out each input's objects.

        `inputs` are S3 URIs by folder name under /opt/ml/processing/input; each of `outputs`, a folder under
        /opt/ml/processing/output, goes to the execution's folder of that name.
        """
        size = self.settings.processing
        job = Processor(
            role=ROLE,
            image_uri="${ProcessingImage}",
            instance_count=instances,
            instance_type=size.instance_type,
            volume_size_in_gb=size.volume_gb,
            volume_kms_key=KEY,
            max_runtime_in_seconds=size.max_runtime_minutes * 60,
            # The jobs need S3 alone; SageMaker itself moves an isolated job's files, through the VPC if there is one.
            network_config=NetworkConfig(enable_network_isolation=True),
            sagemaker_session=session(),
        )
        sources: dict[str, str | Intrinsic] = {
            "code": "s3://${AssetBucket}/${JobsFile}",
            "settings": "s3://${AssetBucket}/${SettingsFile}",
            **inputs,
        }
        step = ProcessingStep(
            state_id,
            processor=job,
            job_name=resource_names.job(self.project, kind),
            container_entrypoint=["python3", f"{OPT}/input/code/${{JobsFile}}"],
            container_arguments=[
                *arguments,
                "--settings",
                f"{OPT}/input/settings",
                "--message",
                "/opt/ml/output/message",
            ],
            inputs=[ProcessingInput("s3://filled-below", f"{OPT}/input/{name}", name) for name in sources],
            outputs=[ProcessingOutput(f"{OPT}/output/{name}", "s3://filled-below", name) for name in outputs],
            kms_key_id=KEY,
            timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
            result_path=None,
        )
        # The SDK's inputs and outputs take no placeholder as their URI.
        parameters: dict[str, Any] = step.fields["parameters"]
        parameters["NetworkConfig"] |= self.vpc
        for request in parameters["ProcessingInputs"]:
            request["S3Input"]["S3Uri"] = sources[request["InputName"]]
            if instances > 1 and request["InputName"] in inputs:
                request["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
        for request in parameters["ProcessingOutputConfig"]["Outputs"]:
            request["S3Output"]["S3Uri"] = resource_names.folder(request["OutputName"])
        self.guard(step)
        return step


def caught_as(state: State, errors: list[str], next_step: State, result_path: str = "$.error") -> State:
    """The state with a Catch for these errors before those that it has."""
    state.catches.insert(0, Catch(error_equals=errors, result_path=result_path, next_step=next_step))
    return state


def chained(*states: State) -> State:
    """Link the states and return the first."""
    for before, after in pairwise(states):
        if before.next_step is not after:
            before.next(after)
    return states[0]


def rendered(states: list[State], comment: str, timeout_seconds: int, partition: str) -> Definition:
    """The machine in Amazon States Language; the SDK takes the partition from the ambient region."""
    text = Graph(Chain(states), comment=comment, timeout_seconds=timeout_seconds).to_json()
    definition: Definition = json.loads(re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', text))
    return definition
