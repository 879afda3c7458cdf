"""The parts that all states share: names, ports, sizes, job definitions, and the calls of Lambda functions and APIs.

A port, `${Name}`, is a placeholder that the stack fills: the definition names no ARN, account, region or bucket.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3

from pipeline.asl import (
    Intrinsic,
    NetworkConfig,
    Pass,
    ProcessingInput,
    ProcessingOutput,
    ProcessingStep,
    Processor,
    Retry,
    Session,
    State,
    Task,
    caught,
    format_,
    retried,
    with_fields,
)
from pipeline.config import Settings
from pipeline.settings import Processing, Score

EXECUTION = "$$.Execution.Name"
ROWS_OF = "$.request.data.rows.run"
"""The run whose rows are trained on: this one, or an earlier one that preprocessed the same."""
EXECUTION_ARN = Intrinsic("$$.Execution.Id")
HASH = f"States.Hash({EXECUTION}, 'MD5')"
"""Of an execution: its own name may have 80 characters, and signs that SageMaker refuses. A job's name,
`{project}-{kind}-{hash}-{attempt}`, is never used twice and has at most 63 (CreateTrainingJob, TrainingJobName), as a
project's has at most 16 and a kind at most 10."""
KEY = "${DataKey}"
ROLE = "${SageMakerRole}"
OPT = "/opt/ml/processing"
LOCAL_STORAGE = r"ml\.([a-z]+[0-9]+[a-z]*d|g[5-9]|p[5-9]|trn|i[0-9])"
ROWS = (
    "train",
    "validation",
    "holdout",
    "labels",
    "champion",
    "shards",
    "quarantine",
    "predictions",
    "batch",
    "ids",
    "answers",
)
"""The folders with rows; a lifecycle rule names them by the prefix `rows/`."""
START_UP_SECONDS = 900
"""Allowed to a job beside its own MaxRuntimeInSeconds, for instances to start and data to move."""


def resource(project: str, kind: str = "") -> Intrinsic:
    """The name of the model and the endpoint config that this execution makes."""
    return format_(f"{project}-{kind and f'{kind}-'}{{}}", HASH)


def job_name(project: str, kind: str) -> Intrinsic:
    """A job's name; each attempt of the state has its own."""
    return format_(f"{project}-{kind}-{{}}-{{}}", HASH, "$$.State.RetryCount")


def tuning_name(project: str) -> Intrinsic:
    """A tuning job's name; each attempt of the state has its own.

    It has at most 32 characters (CreateHyperParameterTuningJob), fewer than the execution's hash with a project.
    """
    return format_(f"{project}-{{}}", "States.ArrayGetItem(States.StringSplit(States.UUID(), '-'), 4)")


def run_of(execution: str) -> str:
    """The name of the run whose ARN is at a path, as part of an intrinsic function."""
    return f"States.ArrayGetItem(States.StringSplit({execution}, ':'), 7)"


def folder(name: str, run: str = EXECUTION) -> Intrinsic:
    """The S3 URI of one of a run's folders, by default this one's: those with rows expire before those of the model."""
    return format_(f"s3://${{DataBucket}}/{_kind(name)}/{{}}/{name}", run)


def _kind(name: str) -> str:
    return "rows" if name.partition("/")[0] in ROWS else "runs"


def volume_key(instance_type: str) -> str | None:
    """Return the key of an instance's volumes; None for local storage, which has a hardware key (ResourceConfig)."""
    return None if re.match(LOCAL_STORAGE, instance_type) else KEY


@cache
def session() -> Session:
    """Return the session that the SDK's objects require; rendering the definition makes no call."""
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

    @property
    def vpc(self) -> dict[str, Any]:
        """The VpcConfig of a request, if the settings have a VPC; a transform job takes its model's."""
        vpc = {"SecurityGroupIds": ["${SecurityGroup}"], "Subnets": ["${Subnet1}", "${Subnet2}"]}
        return {"VpcConfig": vpc} if self.settings.network.vpc else {}

    @property
    def quarantine(self) -> list[str]:
        """The output for wrong rows and files of a job that reads files, if the settings allow any."""
        data = self.settings.data
        return ["quarantine"] if data.bad_rows.count or data.bad_rows.share or data.on_bad_file == "quarantine" else []

    def failure(self, error: str, cause: Intrinsic) -> Pass:
        """Return the state named after the error, by which the execution fails with this cause."""
        state = Pass(error, parameters={"Error": error, "Cause": cause}, result_path="$.error")
        state.next(self.on_error)
        return state

    def task(
        self,
        state_id: str,
        resource: str,
        parameters: dict[str, Any],
        *,
        select: Mapping[str, str] | None = None,
        retries: Sequence[Retry] = (),
        on_error: State | None = None,
        error_path: str = "$.error",
        **fields: Any,
    ) -> Task:
        """Return a Task with its Retry and Catch; `retries` come first, and `select` is its ResultSelector."""
        fields = {"timeout_seconds": 60, "retry": [*retries]} | fields
        step = Task(state_id, resource=f"arn:aws:states:::{resource}", parameters=parameters, **fields)
        return caught(retried(with_fields(step, result_selector=select)), on_error or self.on_error, error_path)

    def call(
        self, state_id: str, action: str, parameters: dict[str, Any], *, service: str = "sagemaker", **fields: Any
    ) -> Task:
        """Return a call by the aws-sdk integration, which takes every parameter that the API has."""
        return self.task(state_id, f"aws-sdk:{service}:{action}", parameters, **({"result_path": None} | fields))

    def function(
        self, state_id: str, port: str, payload: dict[str, Any], *, results: Sequence[str] = (), **fields: Any
    ) -> Task:
        """Return a call of one of our Lambda functions; `results` are the values of its answer that are kept."""
        select = {f"{name}.$": f"$.Payload.{name}" for name in results} or None
        parameters = {"FunctionName": f"${{{port}}}", "Payload": payload}
        return self.task(state_id, "lambda:invoke", parameters, select=select, **fields)

    def read_json(self, state_id: str, file: str, result_path: str, run: str = EXECUTION, **fields: Any) -> Task:
        """Return the read of a JSON file of a run's folder to `document` at `result_path`; Body is a string."""
        request = {"Bucket": "${DataBucket}", "Key": format_(f"{_kind(file)}/{{}}/{file}", run)}
        select = {"document.$": "States.StringToJson($.Body)"}
        return self.call(state_id, "getObject", request, service="s3", result_path=result_path, select=select, **fields)

    def processing(
        self,
        state_id: str,
        command: str,
        *,
        inputs: Mapping[str, str | Intrinsic],
        outputs: list[str],
        kept: Sequence[str] = (),
        arguments: Sequence[str] = (),
        instances: int = 1,
        manifest: str = "",
        size: Processing | Score | None = None,
    ) -> ProcessingStep:
        """Return a processing job that runs one command of the jobs' zip.

        `inputs` are S3 URIs by folder name under /opt/ml/processing/input; several instances share the objects of the
        one called `data`, and each has those of all others. The one called `manifest` is a file that lists the objects.
        Each of `outputs`, a folder under /opt/ml/processing/output, goes to the execution's folder of that name, and
        those of `kept` to the bucket's. `arguments` are by default the inputs' folders, each by its name, and the first
        output's. `size` is by default that of processing jobs.
        """
        size = size or self.settings.processing
        processor = Processor(
            role=ROLE,
            image_uri="${ProcessingImage}",
            instance_count=instances,
            instance_type=size.instance_type,
            volume_size_in_gb=size.volume_gb,
            volume_kms_key=volume_key(size.instance_type),
            max_runtime_in_seconds=size.max_runtime_minutes * 60,
            # The jobs need only S3; SageMaker itself moves an isolated job's files, through the VPC if there is one.
            network_config=NetworkConfig(enable_network_isolation=True),
            sagemaker_session=session(),
        )
        assets = {"code": "s3://${AssetBucket}/${JobsFile}", "settings": "s3://${AssetBucket}/${SettingsFile}"}
        sources = {**assets, **inputs}
        if not arguments:
            given = [part for name in inputs for part in (f"--{name}", f"{OPT}/input/{name}")]
            arguments = [*given, "--output", f"{OPT}/output/{outputs[0]}"]
        common = ["--settings", f"{OPT}/input/settings", "--message", "/opt/ml/output/message"]
        step = ProcessingStep(
            state_id,
            processor=processor,
            job_name=job_name(self.project, command),
            container_entrypoint=["python3", f"{OPT}/input/code/${{JobsFile}}"],
            container_arguments=[command, *arguments, *common],
            inputs=[ProcessingInput("s3://filled-below", f"{OPT}/input/{name}", name) for name in sources],
            outputs=[ProcessingOutput(f"{OPT}/output/{name}", "s3://filled-below", name) for name in (*outputs, *kept)],
            kms_key_id=KEY,
            timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
            result_path=None,
        )
        # The SDK's inputs and outputs take no placeholder as their URI.
        parameters: dict[str, Any] = step.fields["parameters"]
        parameters["NetworkConfig"] |= self.vpc
        for request in parameters["ProcessingInputs"]:
            request["S3Input"]["S3Uri"] = sources[request["InputName"]]
            if request["InputName"] == manifest:
                request["S3Input"]["S3DataType"] = "ManifestFile"
            if instances > 1 and request["InputName"] == "data":
                request["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
        for request in parameters["ProcessingOutputConfig"]["Outputs"]:
            name = request["OutputName"]
            request["S3Output"]["S3Uri"] = f"s3://${{DataBucket}}/{name}" if name in kept else folder(name)
        return caught(retried(step), self.on_error)
