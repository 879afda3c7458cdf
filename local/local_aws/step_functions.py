"""Extends ministack's Step Functions: SageMaker's tasks, nested executions, IAM of the machine's role, AWS's limits.

A method of Executions wraps one function of ministack's, which is its first argument. ministack_adapter/install.py
binds them.
"""

import contextvars
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from statelint.config import Config
from statelint.linter import Linter

from local_aws import autoscaling
from local_aws.iam import AccessError, Credentials, Need
from local_aws.sagemaker.api import permissions
from local_aws.sagemaker.api.errors import MODELED_ERRORS, ServiceError
from local_aws.sagemaker.api.service import SageMaker
from local_aws.sagemaker.api.shapes import unknown_members
from local_aws.sagemaker.jobs.job import Job

Arn = Callable[[str, str], str]
Document = dict[str, Any]
Failure = Callable[[str, str], Exception]
"""ministack's exception of a failed task, of an error and a cause."""
SDK_NAMES = {"sfn": "states"}
"""IAM's name of a service where the integration has another."""
REFUSALS = {
    "lambda": "Lambda.AWSLambdaException",
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "sns": "SNS.AmazonSNSException",
    "events": "EventBridge.AmazonEventBridgeException",
    "states": "StepFunctions.AWSStepFunctionsException",
    "sagemaker": "SageMaker.AmazonSageMakerException",
}
"""Optimised integrations name a refusal that the API does not model after the service's class in the SDK for Java 1."""
SDK_CLASSES = {
    "cloudwatch": "CloudWatch",
    "sfn": "Sfn",
    "s3": "S3",
    "dynamodb": "DynamoDb",
    "sagemaker": "SageMaker",
    "applicationautoscaling": "ApplicationAutoScaling",
}


def needs(resource: str, parameters: Document, arn: Arn) -> tuple[str, list[Need]]:
    """The error's name and what the role must be allowed; `arn` makes an ARN of a service and its resource part."""
    *_, service, called = resource.removesuffix(":2").split(":")
    action, _, pattern = called.partition(".")
    if ":aws-sdk:" in resource:
        prefix = SDK_CLASSES.get(service, service.title())
        error = f"{prefix}.{prefix}Exception"
    else:
        error = REFUSALS.get(service, "States.Permissions")
    operation = action[0].upper() + action[1:]
    if service == "applicationautoscaling":
        return error, list(autoscaling.needs(operation, parameters, arn))
    return error, list(SERVICES.get(service, _other)(service, operation, pattern, parameters, arn))


def _sagemaker(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    def own(part: str) -> str:
        return arn("sagemaker", part)

    yield from permissions.of_caller(action, {**parameters, "Tags": parameters.get("Tags") or pattern}, own)
    if pattern == "sync":
        yield from permissions.of_sync(action, parameters, own, lambda part: arn("events", part))


def _lambda(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    function = parameters["FunctionName"]
    own = function if function.startswith("arn:") else arn(service, f"function:{function}")
    yield Need("lambda:InvokeFunction", own)


def _states(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    """Step Functions' guide, "Start workflow executions from a task state", IAM policies."""
    machine = parameters["StateMachineArn"]
    yield Need("states:StartExecution", machine)
    if pattern == "sync":
        for call in ("DescribeExecution", "StopExecution"):
            yield Need(f"states:{call}", arn("states", f"execution:{machine.split(':')[6]}:*"))
        rule = arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")
        for call in ("PutTargets", "PutRule", "DescribeRule"):
            yield Need(f"events:{call}", rule)


def _events(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    for entry in parameters["Entries"]:
        yield Need("events:PutEvents", arn(service, f"event-bus/{entry.get('EventBusName', 'default')}"))


def _cloudwatch(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    for name in parameters.get("AlarmNames", ()):
        yield Need(f"cloudwatch:{action}", arn(service, f"alarm:{name}"))
    if "AlarmNames" not in parameters:  # metrics have no resource; the namespace is a key of conditions
        yield Need(f"cloudwatch:{action}", "*", {"cloudwatch:namespace": parameters.get("Namespace", "")})


def _other(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    """Services of which a task names at most one resource."""
    if service == "dynamodb":
        resource = arn(service, f"table/{parameters['TableName']}")
    elif service == "s3":
        resource = f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"
    else:
        named = [parameters.get("TopicArn"), *parameters.values()]
        resource = next((value for value in named if str(value).startswith("arn:")), "*")
    yield Need(f"{SDK_NAMES.get(service, service)}:{action}", resource)


SERVICES: dict[str, Callable[[str, str, str, Document, Arn], Iterator[Need]]] = {
    "sagemaker": _sagemaker,
    "lambda": _lambda,
    "states": _states,
    "events": _events,
    "cloudwatch": _cloudwatch,
}


SYNC = ("createProcessingJob", "createTrainingJob", "createTransformJob")
PLAIN = (*SYNC, "createEndpoint", "createEndpointConfig", "createModel", "updateEndpoint")
MAX_PAYLOAD = 262_144  # Step Functions' quotas page


class Call:
    """A task that waits; `cancel` ends the wait when its execution is stopped or its time is over."""

    def __init__(self, execution: str) -> None:
        self.execution = execution
        self.wake = threading.Event()
        self.cancelled = False

    def cancel(self) -> None:
        """End the wait; the job is stopped, as AWS does with best effort."""
        self.cancelled = True
        self.wake.set()


def run(service: SageMaker, resource: str, parameters: Document, call: Call, fail: Failure) -> Document:
    """Run `arn:aws:states:::sagemaker:<action>[.sync]`.

    Returns:
        The API's answer; with .sync DescribeXJob's document, times as milliseconds since 1970. AWS's documentation
        does not show their form.

    Raises:
        fail: The API refused, the job failed or was stopped, or the resource is unknown.
    """
    action, _, pattern = resource.rsplit(":", maxsplit=1)[-1].partition(".")
    if action not in PLAIN or pattern not in ("", "sync") or (pattern and action not in SYNC):
        known = ", ".join(f"{name}[.sync]" if name in SYNC else name for name in PLAIN)
        raise fail("States.Runtime", f"{resource} does not run locally. Known are: {known}.")
    operation = action[0].upper() + action[1:]
    if strange := unknown_members(service.host.model.operation_model(operation).input_shape, parameters):
        listed = ", ".join(f'The field "{name}" is not supported by Step Functions' for name in strange)
        text = json.dumps(parameters)
        raise fail("States.Runtime", f"The Parameters '{text}' could not be used to start the Task: [{listed}]")
    request = parameters
    if pattern:
        tags = {"MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS", "AWS_STEP_FUNCTIONS_EXECUTION_ARN": call.execution}
        own = [{"Key": key, "Value": value} for key, value in tags.items()]
        request = {**parameters, "Tags": [*parameters.get("Tags", []), *own]}
    try:
        answer = service.call(operation, request)
    except ServiceError as error:
        raise task_failure(error, fail) from error
    return _await_job(service, action, parameters, call, fail) if pattern else answer


def _await_job(service: SageMaker, action: str, parameters: Document, call: Call, fail: Failure) -> Document:
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
    document: Document = {
        key: value for key, value in job.describe().items() if key in shape.members and value is not None
    }
    document = dict(_milliseconds(document))
    # How AWS treats a job that ends Stopped, by StopXJob or by MaxRuntimeInSeconds, is documented nowhere. A job that
    # was cut off has not done its work: here it fails the task like a failed one.
    if not call.cancelled and document[f"{noun}Status"] != "Completed":
        raise fail("States.TaskFailed", json.dumps(document))
    return document


def task_failure(error: ServiceError, fail: Failure) -> Exception:
    """An API error as an optimised integration names it: by its class in the SDK for Java 1."""
    modeled = f"{error.code.removesuffix('Exception')}Exception" if error.code in MODELED_ERRORS else ""
    details = (
        f"Service: AmazonSageMaker; Status Code: {error.status}; Error Code: {error.code}; Request ID: {uuid.uuid4()}"
    )
    return fail(f"SageMaker.{modeled or 'AmazonSageMakerException'}", f"{error.message} ({details}; Proxy: null)")


def get_object(client: Any, parameters: Document, fail: Failure) -> Document:
    """Run `aws-sdk:s3:getObject`; Body is the object as a string. Raises `fail`."""
    try:
        found = client.get_object(**parameters)
        body = found["Body"].read(MAX_PAYLOAD + 1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        named = f"{code}Exception" if code.startswith("NoSuch") else "S3Exception"
        raise fail(f"S3.{named}", error.response["Error"]["Message"]) from error
    if len(body) > MAX_PAYLOAD:
        raise fail("States.DataLimitExceeded", f"The object has more than {MAX_PAYLOAD} bytes.")
    keep = ("ContentLength", "ContentType", "ETag", "VersionId", "Metadata")
    modified = found["LastModified"].astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {**{name: found[name] for name in keep if name in found}, "Body": body.decode(), "LastModified": modified}


def pascal(document: Document) -> Document:
    """An answer of Step Functions as its own integration gives it: names in PascalCase, times in milliseconds."""
    result: Document = {}
    for key, value in document.items():
        name = key[0].upper() + key[1:]
        if isinstance(value, dict):
            result[name] = pascal(value)
        elif name.endswith("Date"):
            result[name] = round(datetime.fromisoformat(value).timestamp() * 1000)
        else:
            result[name] = value
    return result


def described(execution: Document) -> Document:
    """DescribeExecution's answer of an ended execution in PascalCase; an output only of one that succeeded."""
    hidden = () if execution["status"] == "SUCCEEDED" else ("output", "outputDetails")
    return pascal({key: value for key, value in execution.items() if key not in hidden and value is not None})


def _milliseconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_milliseconds(item) for item in value]
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


Answer = tuple[int, dict[str, str], bytes]
MAX_DEFINITION = 1_048_576
"""Characters (API model, Definition)."""
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
"""What States.ALL does not stand for (Step Functions Developer Guide, "Handling errors")."""


@dataclass(frozen=True)
class Engine:
    """ministack's Step Functions: its exception, executions by ARN, three operations, and tasks by callback token."""

    failure: type[Any]
    find: Callable[[str], Document]
    time_out: Callable[[Document], None]
    start: Callable[[Document], Answer]
    stop: Callable[[Document], Answer]
    describe: Callable[[Document], Answer]
    tokens: Document


class CallbackError(Exception):
    """A Lambda that should call back has failed; ministack catches its own exception here and waits."""


class Executions:
    """Executions that run, and the jobs and executions that their tasks wait for."""

    def __init__(self, service: SageMaker, engine: Engine) -> None:
        self._service = service
        self._engine = engine
        self._failure = engine.failure
        self._lock = threading.Lock()
        self._calls: dict[str, list[Call]] = {}
        self._parents: dict[str, list[Call]] = {}
        self._execution: contextvars.ContextVar[str] = contextvars.ContextVar("execution", default="")
        self._attempt: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar("attempt", default=None)
        self._callback: contextvars.ContextVar[bool] = contextvars.ContextVar("callback", default=False)

    @contextmanager
    def _call(self) -> Iterator[Call]:
        """A wait that ends early when the task's execution is stopped or the task's time is over."""
        call = Call(self._execution.get())
        with self._lock:
            self._calls.setdefault(call.execution, []).append(call)
        attempt = self._attempt.get()
        if attempt is not None:
            attempt.append(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls[call.execution].remove(call)
                if not self._calls[call.execution]:
                    del self._calls[call.execution]

    def sagemaker(self, resource: str, parameters: Document) -> Document:
        """Run a `sagemaker:…` task."""
        with self._call() as call:
            return run(self._service, resource, parameters, call, self._failure)

    def nested(self, original: Callable[..., Any], resource: str, parameters: Document) -> Document:
        """Run `states:startExecution`; with `.sync` or `.sync:2` wait for the child, and stop it with the task.

        Returns:
            StartExecution's answer; with .sync DescribeExecution's, times as milliseconds since 1970, and with .sync:2
            the input and the output as JSON.
        """
        value = parameters.get("Input", {})
        request = {"stateMachineArn": parameters["StateMachineArn"]}
        request["input"] = value if isinstance(value, str) else json.dumps(value)
        if "Name" in parameters:
            request["name"] = parameters["Name"]
        status, _, body = self._engine.start(request)
        started = json.loads(body)
        if status >= 400:
            code = started["__type"].removesuffix("Exception")
            raise self._failure(f"StepFunctions.{code}Exception", f"{started['message']} (Service: AWSStepFunctions)")
        if ".sync" not in resource:
            return pascal(started)
        arn = started["executionArn"]
        with self._call() as call:
            self._await_child(arn, call)
        document = described(json.loads(self._engine.describe({"executionArn": arn})[2]))
        if resource.endswith(":2"):
            document.update({name: json.loads(document[name]) for name in ("Input", "Output") if name in document})
        if document["Status"] != "SUCCEEDED" and not call.cancelled:
            raise self._failure("States.TaskFailed", json.dumps(document))
        return document

    def _await_child(self, arn: str, call: Call) -> None:
        child = self._engine.find(arn)
        with self._lock:
            self._parents.setdefault(arn, []).append(call)
        if child["stopDate"]:
            call.wake.set()
        call.wake.wait()
        if call.cancelled and child["status"] == "RUNNING":
            self._engine.stop({"executionArn": arn})

    def status_event(self, original: Callable[..., None], execution: Document) -> None:
        """Publish a change of status; the tasks that wait for an end go on."""
        original(execution)
        if execution["status"] != "RUNNING":
            with self._lock:
                parents = self._parents.pop(execution["executionArn"], [])
            for call in parents:
                call.wake.set()

    def sdk_call(self, original: Callable[..., Any], resource: str, parameters: Document) -> Any:
        """Run an `aws-sdk:…` task; ministack lacks s3:getObject."""
        if not resource.endswith(":aws-sdk:s3:getObject"):
            return original(resource, parameters)
        return get_object(self._service.host.client("s3", Credentials()), parameters, self._failure)

    def allowed(self, original: Callable[..., Any], resource: str, parameters: Document, *more: Any) -> Any:
        """Run a task if its execution still runs and the state machine's role may do what it asks for."""
        execution = self._engine.find(self._execution.get())
        if execution["status"] != "RUNNING":  # it was stopped while a retry waited
            raise self._failure("States.Runtime", "the execution has ended")
        host = self._service.host
        error, needed = needs(resource, parameters, host.arn)
        role = execution["events"][0]["executionStartedEventDetails"]["roleArn"]
        try:
            host.access.check(host.access.act(role, "states.amazonaws.com").key, needed)
        except AccessError as refusal:
            raise self._failure(error, str(refusal)) from refusal
        return original(resource, parameters, *more)

    def callback(
        self, original: Callable[..., Any], resource: str, parameters: Document, token: str, state_def: Any
    ) -> Any:
        """Run a `.waitForTaskToken` task; a Lambda that fails fails it at once."""
        mark = self._callback.set(True)
        try:
            return self.allowed(original, resource, parameters, token, state_def)
        except CallbackError as error:
            self._engine.tokens.pop(token, None)
            assert error.__cause__ is not None
            raise error.__cause__ from None
        finally:
            self._callback.reset(mark)

    def call_lambda(self, original: Callable[..., Any], func_ref: str, event: Any) -> Any:
        """Invoke a function for a task."""
        try:
            return original(func_ref, event)
        except self._failure as failure:
            if self._callback.get():
                raise CallbackError from failure
            raise

    def task(
        self, original: Callable[..., Any], state_def: Any, raw_input: Any, execution: Document | None, ctx: Any
    ) -> Any:
        """Run a Task state; branches of a Parallel state go on after the end, but none of their tasks starts."""
        if execution is None:  # TestState
            return original(state_def, raw_input, execution, ctx)
        if execution["status"] != "RUNNING":
            raise self._failure("States.Runtime", "the execution has ended")
        token = self._execution.set(execution["executionArn"])
        try:
            return original(state_def, raw_input, execution, ctx)
        finally:
            self._execution.reset(token)

    def timed_task(self, original: Callable[..., Any], resource: str, parameters: Any, timeout: float) -> Any:
        """Run a task that has TimeoutSeconds; its jobs are stopped when they are over."""
        calls: list[Call] = []
        token = self._attempt.set(calls)
        try:
            return original(resource, parameters, timeout)
        except self._failure as error:
            if error.error == "States.Timeout":
                for call in calls:
                    call.cancel()
            raise
        finally:
            self._attempt.reset(token)

    def stop(self, original: Callable[..., Any], request: Document) -> Any:
        """StopExecution: its jobs are stopped, too."""
        answer = original(request)
        self._cancel(request.get("executionArn", ""))
        return answer

    def fail(self, original: Callable[..., Any], execution: Document, error: str, cause: str) -> None:
        """End an execution as FAILED; one that has ended stays so, whatever its tasks then raise."""
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    def run(self, original: Callable[..., Any], arn: str, machines: Mapping[str, Document]) -> None:
        """Run an execution to its end, or to the machine's TimeoutSeconds."""
        self._attempt.set(None)  # a nested execution begins in its parent's context
        self._callback.set(False)
        execution = self._engine.find(arn)
        machine = machines.get(execution["stateMachineArn"], {})
        seconds = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
        if seconds is None:
            original(arn)
            return
        timer = threading.Timer(seconds, contextvars.copy_context().run, (self._expire, execution))
        timer.daemon = True
        timer.start()
        try:
            original(arn)
        finally:
            timer.cancel()

    def _expire(self, execution: Document) -> None:
        if execution["status"] == "RUNNING":
            self._engine.time_out(execution)
            self._cancel(execution["executionArn"])

    def _cancel(self, arn: str) -> None:
        with self._lock:
            calls = list(self._calls.get(arn, ()))
        for call in calls:
            call.cancel()

    def start(self, original: Callable[..., Answer], request: Document) -> Answer:
        """StartExecution: with the name and input of a running one it answers the same (API reference)."""
        if len(request.get("input", "").encode()) > MAX_PAYLOAD:
            return refusal("ValidationException", f"input must be at most {MAX_PAYLOAD} bytes")
        answer = original(request)
        document = json.loads(answer[2])
        if document.get("__type") == "ExecutionAlreadyExists":
            execution = self._engine.find(document["message"].split("'")[1])
            if execution["status"] == "RUNNING" and execution["input"] == request.get("input", "{}"):
                first = {name: execution[name] for name in ("executionArn", "startDate")}
                return 200, answer[1], json.dumps(first).encode()
        return answer

    def event(
        self, original: Callable[..., Any], execution: Any, kind: str, details: dict[str, Document] | None = None
    ) -> Any:
        """Add to the history; an output over 256 KiB ends the execution (quotas, "input or output size")."""
        for detail in (details or {}).values():
            if len(detail.get("output", "").encode()) > MAX_PAYLOAD:
                name = detail.get("name") or detail.get("resource")
                cause = "returned a result with a size exceeding the maximum number of bytes service limit."
                raise self._failure("States.DataLimitExceeded", f"The state/task '{name}' {cause}")
        return original(execution, kind, details)


def error_matches(original: Callable[..., bool], names: list[str], error: str) -> bool:
    """Whether a Retry or Catch is for this error."""
    return error in names if error in TERMINAL else original(names, error)


def definition_problem(original: Callable[..., str | None], definition: str) -> str | None:
    """Why CreateStateMachine and UpdateStateMachine refuse a definition; None when they take it."""
    try:
        if len(definition) > MAX_DEFINITION:
            raise ValueError(f"longer than {MAX_DEFINITION} characters")
        parsed = json.loads(definition)
        problems = Linter.validate(parsed, Config([], False, False)) if isinstance(parsed, dict) else ["not an object"]
    except ValueError as error:
        return f"Invalid State Machine Definition: 'INVALID_JSON_DESCRIPTION: {error}'"
    if problems:
        return f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {'; '.join(problems)}'"
    return original(definition)


def refusal(code: str, message: str) -> Answer:
    """An error as Step Functions answers it."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return 400, {"Content-Type": "application/x-amz-json-1.0"}, body
