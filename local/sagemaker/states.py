"""Step Functions' integrations: the optimised `sagemaker:create…` tasks, `.sync` among them, and s3:getObject."""

import json
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.errors import MODELED_ERRORS, ServiceError
from local.sagemaker.jobs import Job
from local.sagemaker.service import SageMaker
from local.sagemaker.shapes import unknown_members

SYNC = ("createProcessingJob", "createTrainingJob", "createTransformJob")
PLAIN = (*SYNC, "createEndpoint", "createEndpointConfig", "createModel", "updateEndpoint")
MAX_PAYLOAD = 262_144  # Step Functions' quotas page


class TaskFailure(Exception):
    """A task's error, as Retry and Catch see it."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Call:
    """A task under way; `cancel` when its execution is stopped or its time is over.

    Args:
        execution: The execution's ARN.
    """

    def __init__(self, execution: str) -> None:
        self.execution = execution
        self.wake = threading.Event()
        self.cancelled = False

    def cancel(self) -> None:
        """End the wait; the job is told to stop, as AWS does with best effort."""
        self.cancelled = True
        self.wake.set()


def run(service: SageMaker, resource: str, parameters: dict[str, Any], call: Call) -> dict[str, Any]:
    """Run `arn:aws:states:::sagemaker:<action>[.sync]`.

    Returns:
        The API's answer; with .sync DescribeXJob's document, times as milliseconds since 1970. AWS's documentation
        does not show their form.

    Raises:
        TaskFailure: The API refused, the job failed or was stopped, or the resource is unknown.
    """
    action, _, pattern = resource.rsplit(":", maxsplit=1)[-1].partition(".")
    if action not in PLAIN or pattern not in ("", "sync") or (pattern and action not in SYNC):
        known = ", ".join(f"{name}[.sync]" if name in SYNC else name for name in PLAIN)
        raise TaskFailure("States.Runtime", f"{resource} does not run locally. Known are: {known}.")
    operation = action[0].upper() + action[1:]
    if strange := unknown_members(service.host.model.operation_model(operation).input_shape, parameters):
        listed = ", ".join(f'The field "{name}" is not supported by Step Functions' for name in strange)
        text = json.dumps(parameters)
        raise TaskFailure("States.Runtime", f"The Parameters '{text}' could not be used to start the Task: [{listed}]")
    request = parameters
    if pattern:
        tags = {"MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS", "AWS_STEP_FUNCTIONS_EXECUTION_ARN": call.execution}
        own = [{"Key": key, "Value": value} for key, value in tags.items()]
        request = {**parameters, "Tags": [*parameters.get("Tags", []), *own]}
    try:
        answer = service.call(operation, request)
    except ServiceError as error:
        raise refusal(error) from error
    return _await_job(service, action, parameters, call) if pattern else answer


def _await_job(service: SageMaker, action: str, parameters: dict[str, Any], call: Call) -> dict[str, Any]:
    noun = action.removeprefix("create")
    job: Job = service.shelves[noun].get(parameters[f"{noun}Name"])
    job.when_done(call.wake.set)
    call.wake.wait()
    if call.cancelled and not job.done.is_set():
        try:
            job.stop()
        except ServiceError:
            job.done.wait()  # it ended in the same moment
    shape = service.host.model.operation_model(f"Describe{noun}").output_shape
    document: dict[str, Any] = {
        key: value for key, value in job.describe().items() if key in shape.members and value is not None
    }
    document = dict(_milliseconds(document))
    # How AWS treats a job that ends Stopped, by StopXJob or by MaxRuntimeInSeconds, is documented nowhere. A job that
    # was cut off has not done its work: here it fails the task like a failed one.
    if not call.cancelled and document[f"{noun}Status"] != "Completed":
        raise TaskFailure("States.TaskFailed", json.dumps(document))
    return document


def refusal(error: ServiceError) -> TaskFailure:
    """An API error as an optimised integration names it: by its class in the SDK for Java 1."""
    modeled = f"{error.code.removesuffix('Exception')}Exception" if error.code in MODELED_ERRORS else ""
    details = (
        f"Service: AmazonSageMaker; Status Code: {error.status}; Error Code: {error.code}; Request ID: {uuid.uuid4()}"
    )
    return TaskFailure(
        f"SageMaker.{modeled or 'AmazonSageMakerException'}", f"{error.message} ({details}; Proxy: null)"
    )


def get_object(client: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run `aws-sdk:s3:getObject`; Body is the object as a string. Raises TaskFailure."""
    try:
        found = client.get_object(**parameters)
        body = found["Body"].read(MAX_PAYLOAD + 1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        named = f"{code}Exception" if code.startswith("NoSuch") else "S3Exception"
        raise TaskFailure(f"S3.{named}", error.response["Error"]["Message"]) from error
    if len(body) > MAX_PAYLOAD:
        raise TaskFailure("States.DataLimitExceeded", f"The object has more than {MAX_PAYLOAD} bytes.")
    keep = ("ContentLength", "ContentType", "ETag", "VersionId", "Metadata")
    modified = found["LastModified"].astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {**{name: found[name] for name in keep if name in found}, "Body": body.decode(), "LastModified": modified}


def pascal(document: dict[str, Any]) -> dict[str, Any]:
    """An answer of Step Functions as its own integration gives it: names in PascalCase, times in milliseconds."""
    result: dict[str, Any] = {}
    for key, value in document.items():
        name = key[0].upper() + key[1:]
        if isinstance(value, dict):
            result[name] = pascal(value)
        elif name.endswith("Date"):
            result[name] = round(datetime.fromisoformat(value).timestamp() * 1000)
        else:
            result[name] = value
    return result


def described(execution: dict[str, Any]) -> dict[str, Any]:
    """DescribeExecution's answer of an ended execution in PascalCase; an output only of one that succeeded."""
    hidden = () if execution["status"] == "SUCCEEDED" else ("output", "outputDetails")
    return pascal({key: value for key, value in execution.items() if key not in hidden and value is not None})


def _milliseconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_milliseconds(item) for item in value]
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value
