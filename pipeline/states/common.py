"""What the states of a run share: its ports, its sizes and its job definitions.

A port, `${Name}`, is a hole in the definition that the stack fills: no ARN, account, region or bucket stands here.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from sagemaker.network import NetworkConfig
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sagemaker.session import Session

from pipeline import names
from pipeline.asl import Intrinsic, Pass, ProcessingStep, State, Task, caught, format_, retried
from pipeline.config import Settings

KEY = "${DataKey}"
ROLE = "${SageMakerRole}"
OPT = "/opt/ml/processing"
START_UP_SECONDS = 900
"""Allowed to a job beside its own MaxRuntimeInSeconds, for instances to start and data to move."""


@cache
def session() -> Session:
    """A session that the SDK's objects want; the definition is rendered without a call."""
    return Session(boto_session=boto3.Session(region_name="us-east-1"), default_bucket="${DataBucket}")


@dataclass(frozen=True)
class Building:
    """What every phase is given: the settings, and the state that each failure goes to."""

    settings: Settings
    on_error: State

    def guard(self, task: State) -> State:
        """The task with its Retry and Catch."""
        return caught(retried(task), self.on_error)

    @property
    def vpc(self) -> dict[str, Any]:
        """The VpcConfig of a request, if the settings have a VPC; a transform job takes its model's."""
        if not self.settings.network.vpc:
            return {}
        return {"VpcConfig": {"SecurityGroupIds": ["${SecurityGroup}"], "Subnets": ["${Subnet1}", "${Subnet2}"]}}

    def failure(
        self, state_id: str, cause: str, *paths: str, error: str | None = None, then: State | None = None
    ) -> Pass:
        """A failure that is ours and not a task's: its error is the state's name, its cause says what to do."""
        state = Pass(
            state_id, parameters={"Error": error or state_id, "Cause": format_(cause, *paths)}, result_path="$.error"
        )
        state.next(then or self.on_error)
        return state

    def call(
        self, state_id: str, action: str, parameters: dict[str, Any], *, service: str = "sagemaker", **fields: Any
    ) -> Task:
        """A call by the aws-sdk integration, which takes every parameter that the API has."""
        resource = f"arn:aws:states:::aws-sdk:{service}:{action}"
        fields = {"timeout_seconds": 60, "result_path": None} | fields
        step = Task(state_id, resource=resource, parameters=parameters, **fields)
        self.guard(step)
        return step

    def processing(
        self,
        state_id: str,
        *,
        kind: str,
        arguments: list[str],
        inputs: dict[str, str | Intrinsic],
        outputs: list[str],
        instances: int = 1,
    ) -> State:
        """A processing job that runs one command of the jobs' zip; several instances share out each input's objects.

        `inputs` are S3 URIs by folder name under /opt/ml/processing/input; each of `outputs`, a folder under
        /opt/ml/processing/output, goes to the run's folder of that name.
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
            # The jobs need S3 alone; an isolated job gets it from SageMaker itself, through the VPC if there is one.
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
            job_name=names.job(self.settings.project.name, kind),
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
            result_path=f"$.{kind}",
            result_selector={"job": Intrinsic("$.ProcessingJobName")},
        )
        # The SDK's inputs and outputs take no placeholder as their URI.
        parameters: dict[str, Any] = step.fields["parameters"]
        parameters["NetworkConfig"] |= self.vpc
        for request in parameters["ProcessingInputs"]:
            request["S3Input"]["S3Uri"] = sources[request["InputName"]]
            if instances > 1 and request["InputName"] in inputs:
                request["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
        for request in parameters["ProcessingOutputConfig"]["Outputs"]:
            request["S3Output"]["S3Uri"] = names.folder(request["OutputName"])
        return self.guard(step)
