"""The integrations: each task is a signed call in the machine's role to the local AWS's own port."""

import json
import re
import sys
import threading
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import botocore.session
import moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_api_gateway as gateway
import moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback as callback
import moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_events as events
import moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn as nested
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.eval.environment import Environment

from local_aws.iam import AccessError, Credentials, Need
from local_aws.sagemaker.api import permissions
from local_aws.sagemaker.api.errors import MODELED_ERRORS, ServiceError
from local_aws.sagemaker.api.service import SageMaker
from local_aws.sagemaker.api.shapes import check, unknown_members
from local_aws.sagemaker.host import Host
from local_aws.step_functions.interpreter import PARSER, failed

Document = dict[str, Any]
TASK = f"{PARSER}.asl.component.state.exec.state_task"
SERVICE = f"{TASK}.service.state_task_service"
CLIENT = "boto_client_for"
STATES = "states.amazonaws.com"
MAX_SECONDS = 900  # a Lambda's longest run (Lambda's quotas page)
WITHOUT_SYNC = ("createEndpoint", "createEndpointConfig", "createModel", "updateEndpoint")
JOBS = ("createHyperParameterTuningJob", "createProcessingJob", "createTrainingJob", "createTransformJob")
HERE = (*JOBS, *WITHOUT_SYNC)
AWS_HAS = (*HERE, "createLabelingJob")
DENIED = ("AccessDenied", "AccessDeniedException")
"""IAM's refusals; some services model them, but for other operations."""
NAMES = tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))
_answered = threading.local()


@lru_cache(maxsize=64)
def _client(host: Host, service: str, credentials: Credentials) -> Any:
    """A client that repeats nothing, as Retry is the machine's, and sends what the machine says unchecked."""
    config = {"parameter_validation": False, "request_checksum_calculation": "when_supported"}
    once = {"total_max_attempts": 1}
    client = host.client(service, credentials, **config, retries=once, read_timeout=MAX_SECONDS)
    client.meta.events.register("after-call", _keep_metadata)
    return client


def _keep_metadata(parsed: Document, model: OperationModel, **_: Any) -> None:
    _answered.metadata = parsed["ResponseMetadata"]
    if model.service_model.service_name == "s3":
        _answered.metadata.setdefault("HostId", uuid.uuid4().hex)
    _answered.metadata.setdefault("RequestId", str(uuid.uuid4()))  # ministack's refusals have none


class Tasks:
    """The integrations of one local AWS; `when_ended` calls back when an execution has ended."""

    def __init__(self, service: SageMaker, when_ended: Callable[[str, Callable[[], None]], None]) -> None:
        self.service, self.when_ended = service, when_ended

    def client(self, service: str, role: str) -> Any:
        """A client in a machine's role. Raises AccessError: Step Functions cannot assume the role."""
        return _client(self.service.host, service, self.service.host.access.act(role, STATES))

    def allow(self, role: str, needs: Iterator[Need]) -> None:
        """Raise AccessError for what Step Functions needs beside the call itself."""
        self.service.host.access.check(self.service.host.access.act(role, STATES).key, needs)

    def changes(self) -> dict[str, Callable[..., Any]]:
        """What is changed in moto so that its tasks call here."""

        def boto_client(original: Any, region: str, service: str, state_credentials: Any = None) -> Any:
            return self.client(service, state_credentials.role_arn)

        def task(original: Any, service_name: str) -> Any:
            kind = {"sagemaker": SageMakerTask, "states": NestedTask, "apigateway": GatewayTask}.get(service_name)
            return kind() if kind else original(service_name)

        _Task.tasks = self
        state_task_service_aws_sdk._SERVICE_ERROR_NAMES.update(NAMES["sdk classes"])
        StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.update(NAMES["sdk services"])
        invoke = gateway.StateTaskServiceApiGateway._SUPPORTED_API_PARAM_BINDINGS["invoke"]
        invoke.update(gateway.TaskParameters.__annotations__)
        users = [name for name, module in sys.modules.items() if name.startswith(PARSER) and hasattr(module, CLIENT)]
        return {
            **{f"{name}:{CLIENT}": boto_client for name in users},
            f"{TASK}.state_task_factory:state_task_service_for": task,
            **CHANGES,
        }


class _Task:
    """Mixed into a class of moto's, of which each execution has a copy: what they share is the class's."""

    tasks: ClassVar[Tasks]


class SageMakerTask(_Task, callback.StateTaskServiceCallback):
    """`arn:aws:states:::sagemaker:<action>[.sync]`."""

    def __init__(self) -> None:
        super().__init__({ResourceCondition.Sync})

    def _validate_service_integration_is_supported(self) -> None:
        action, waits = self.resource.api_action, self.resource.condition
        if action not in AWS_HAS or waits not in (None, ResourceCondition.Sync) or (waits and action in WITHOUT_SYNC):
            raise ValueError(
                f"The resource provided {self.resource.resource_arn} not recognized. The value is not a valid resource "
                "ARN, or the resource is not available in this region."
            )

    def _eval_service_task(self, env: Any, normalised_parameters: Document, state_credentials: Any, **_: Any) -> None:
        action, waits = self.resource.api_action, self.resource.condition is not None
        if action not in HERE:
            known = ", ".join(f"{name}{'' if name in WITHOUT_SYNC else '[.sync]'}" for name in HERE)
            text = f"{self.resource.resource_arn} does not run locally. Known are: {known}."
            raise _failure(self, env, "States.Runtime", text)
        operation = action[0].upper() + action[1:]
        shape = self.tasks.service.host.model.operation_model(operation).input_shape
        if strange := unknown_members(shape, normalised_parameters):
            listed = ", ".join(f'The field "{name}" is not supported by Step Functions' for name in strange)
            given = json.dumps(normalised_parameters)
            text = f"The Parameters '{given}' could not be used to start the Task: [{listed}]"
            raise _failure(self, env, "States.Runtime", text)
        if waits:
            needs = permissions.of_sync(operation, normalised_parameters, self.tasks.service.host.arn)
            self.tasks.allow(state_credentials.role_arn, needs)
            arn = env.states.context_object.context_object_data["Execution"]["Id"]
            tags = {"MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS", "AWS_STEP_FUNCTIONS_EXECUTION_ARN": arn}
            own = [{"Key": key, "Value": value} for key, value in tags.items()]
            normalised_parameters["Tags"] = [*normalised_parameters.get("Tags", []), *own]
        client = self.tasks.client("sagemaker", state_credentials.role_arn)
        answer = getattr(client, xform_name(operation))(**normalised_parameters)
        answer.pop("ResponseMetadata", None)
        env.stack.append(answer)

    def _eval_integration_pattern(self, env: Any, normalised_parameters: Any, state_credentials: Any, **_: Any) -> None:
        """Wait for the job; its description is the result, with times in milliseconds since 1970.

        How AWS treats a job that ends Stopped, by StopXJob or by MaxRuntimeInSeconds, is documented nowhere. A job that
        was cut off has not done its work: here it fails the task like a failed one.
        """
        env.stack.pop()
        noun = self.resource.api_action.removeprefix("create")
        client = self.tasks.client("sagemaker", state_credentials.role_arn)
        named = {f"{noun}Name": normalised_parameters[f"{noun}Name"]}
        job = self.tasks.service.shelves[noun].get(named[f"{noun}Name"])
        ended = _await(env, job.when_done)
        if not ended:
            with suppress(ClientError):  # it ended in the same moment
                getattr(client, xform_name(f"Stop{noun}"))(**named)
        document = _plain(getattr(client, xform_name(f"Describe{noun}"))(**named))
        document.pop("ResponseMetadata")
        if ended and document[f"{noun}Status"] != "Completed":
            raise _failure(self, env, "States.TaskFailed", json.dumps(document))
        env.stack.append(document)


class NestedTask(_Task, nested.StateTaskServiceSfn):
    """`arn:aws:states:::states:startExecution[.sync[:2]]`."""

    def _eval_service_task(self, **named: Any) -> None:
        if self.resource.condition in (ResourceCondition.Sync, ResourceCondition.Sync2):
            machine, role = named["normalised_parameters"]["stateMachineArn"], named["state_credentials"].role_arn
            self.tasks.allow(role, permissions.of_nested(machine, self.tasks.service.host.arn))
        super()._eval_service_task(**named)

    def _eval_integration_pattern(self, env: Any, state_credentials: Any, **named: Any) -> None:
        """Wait for the child; its description is the result, with .sync:2 its input and output as JSON."""
        if self.resource.condition == ResourceCondition.WaitForTaskToken:
            super()._eval_integration_pattern(env=env, state_credentials=state_credentials, **named)
            return
        execution = {"executionArn": env.stack.pop()["ExecutionArn"]}
        client = self.tasks.client("stepfunctions", state_credentials.role_arn)
        ended = _await(env, partial(self.tasks.when_ended, execution["executionArn"]))
        if not ended:
            client.stop_execution(**execution)
        hidden = ("ResponseMetadata", "redriveCount", "redriveStatus", "redriveStatusReason")
        document = {key: value for key, value in client.describe_execution(**execution).items() if key not in hidden}
        if self.resource.condition == ResourceCondition.Sync2:
            document.update({name: json.loads(document[name]) for name in ("input", "output") if name in document})
        self._normalise_response(document, service_action_name="describeExecution")
        if ended and document["Status"] != "SUCCEEDED":
            raise _failure(self, env, "States.TaskFailed", json.dumps(document))
        env.stack.append(document)


class GatewayTask(_Task, gateway.StateTaskServiceApiGateway):
    """`arn:aws:states:::apigateway:invoke`, without a signature."""

    def _eval_service_task(self, state_credentials: Any, **named: Any) -> None:
        super()._eval_service_task(task_credentials=state_credentials, **named)

    def _invoke_url_of(self, parameters: Document) -> str:
        """The local address of `<id>.execute-api.<region>.amazonaws.com`; the values of a header become one text."""
        headers = parameters.get("Headers") or {}
        headers.update({name: f"[{','.join(values)}]" for name, values in headers.items()})
        path = "/".join(parameters.get(part, "").strip("/") for part in ("Stage", "Path"))
        query = self._query_parameters_of(parameters) or ""
        api, endpoint = parameters["ApiEndpoint"].partition(".")[0], self.tasks.service.host.endpoint_url
        return f"{endpoint}/_aws/execute-api/{api}/{path}{query}"

    def _from_error(self, env: Environment, ex: Exception) -> FailureEvent:
        """An answer other than 200 fails the task with its status and its body."""
        if isinstance(ex, gateway.SfnGatewayException):
            return _failure(self, env, f"ApiGateway.{ex.response.status_code}", ex.response.text).failure_event
        return _failure(self, env, "States.Runtime", str(ex)).failure_event


def _await(env: Environment, begin: Callable[[Callable[[], None]], None]) -> bool:
    """Wait until something has ended; False when the task ends first. `begin` takes the call at the end."""
    done = threading.Event()

    def end() -> None:
        done.set()
        env.program_state_event.set()

    begin(end)
    while not done.is_set() and env.is_running():
        env.program_state_event.wait(1.0)  # an end of the task between the two lines is seen a second later
    return done.is_set()


def _plain(value: Any, *, text: bool = False) -> Any:
    """A document with times in milliseconds since 1970, or as text."""
    if isinstance(value, dict):
        return {key: _plain(item, text=text) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, text=text) for item in value]
    if not isinstance(value, datetime):
        return value
    written = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return written.replace(".000Z", "Z") if text else round(value.timestamp() * 1000)


def _failure(task: StateTaskService, env: Environment, error: str, cause: str) -> FailureEventException:
    place = {"resource": task._get_sfn_resource(), "resourceType": task._get_sfn_resource_type()}
    return failed(env, error, cause, **place)


def _from_error(original: Any, self: StateTaskService, env: Environment, ex: Exception) -> FailureEvent:
    """The failure of a task; an error that moto has no name or another name for is named as AWS does."""
    named = _unmodeled(self, ex) if isinstance(ex, (AccessError, ServiceError, ClientError)) else None
    if isinstance(ex, events.SfnFailedEntryCountException):
        named = "EventBridge.FailedEntry", str(ex)
    return _failure(self, env, *named).failure_event if named else original(self, env=env, ex=ex)


def _unmodeled(task: StateTaskService, error: Exception) -> tuple[str, str] | None:
    """The name and the cause of a refusal by IAM, and of an error of an optimised integration that no model has."""
    service = task.resource.service_name
    sdk = NAMES["sdk classes"].get(task.resource.api_name, task.resource.api_name.title())
    name = f"{sdk}.{sdk}Exception" if service == "aws-sdk" else NAMES["client classes"].get(service, "")
    if not isinstance(error, ClientError):
        return name or "States.Permissions", str(error)
    code, metadata = error.response["Error"]["Code"], error.response["ResponseMetadata"]
    if service == "sagemaker" and code in MODELED_ERRORS:
        name = f"SageMaker.{code.removesuffix('Exception')}Exception"
    elif service == "aws-sdk" or not name or (type(error) is not ClientError and code not in DENIED):
        return None
    sdk = NAMES["client classes"][service].partition(".")[2].removesuffix("Exception")
    where = f"Service: {sdk}; Status Code: {metadata['HTTPStatusCode']}; Error Code: {code}"
    request = f"Request ID: {metadata.get('RequestId', '')}; Proxy: null"
    return name, f"{error.response['Error']['Message']} ({where}; {request})"


def _sdk_error(original: Any, service: str, ex: ClientError) -> str:
    """An error of an aws-sdk integration: by its code when the API models it, else by the service."""
    code = ex.response["Error"]["Code"]
    modeled = type(ex) is not ClientError and code not in DENIED
    return f"{service}.{code.removesuffix('Exception') if modeled else service}Exception"


@lru_cache(maxsize=256)
def _operation(service: str, action: str) -> OperationModel:
    """An operation's model; reading a service's takes as long as many a task."""
    model = botocore.session.get_session().get_service_model(service)
    named = {name.lower().replace("_", ""): name for name in model.operation_names}
    return model.operation_model(named[action.lower().replace("_", "")])


def _operation_of(task: StateTaskService, other: dict[str, str | None]) -> OperationModel:
    """A task's operation, or the other one that moto names."""
    service = task._get_boto_service_name(other.get("boto_service_name"))
    return _operation(service, other.get("service_action_name") or task.resource.api_action)


def _to_request(original: Any, self: StateTaskService, parameters: Document, **other: str | None) -> None:
    """Members as the API names and types them; a member that is null is not sent."""
    for name in [name for name, value in parameters.items() if value is None]:
        del parameters[name]
    shape = _operation_of(self, other).input_shape
    self._to_boto_request(parameters, shape)
    if self.resource.api_name == "dynamodb":  # ministack looks for the table first
        check(shape, parameters)


def _from_response(original: Any, self: StateTaskService, response: Any, **other: str | None) -> None:
    """Names in PascalCase and times as AWS writes them; an optimised integration adds what its HTTP answer said."""
    if shape := _operation_of(self, other).output_shape:
        self._from_boto_response(response, shape)
    if not isinstance(response, dict):
        return
    sdk = self.resource.service_name == "aws-sdk"
    response.update(_plain(response, text=sdk))
    if not sdk and not other.get("service_action_name"):
        metadata = _answered.metadata
        response["SdkHttpMetadata"] = {
            "AllHttpHeaders": {name: [value] for name, value in metadata["HTTPHeaders"].items()},
            "HttpHeaders": metadata["HTTPHeaders"],
            "HttpStatusCode": metadata["HTTPStatusCode"],
        }
        response["SdkResponseMetadata"] = {"RequestId": metadata["RequestId"]}


def _cased(original: Any, name: str) -> str:
    """A member's name as the SDK for Java has it, with a capital: DBInstances is DbInstances, ETag stays."""
    name = name[0].upper() + name[1:]
    return re.sub(r"^([A-Z])([A-Z]+)(?=[A-Z][a-z]|[^A-Za-z]|$)", lambda found: found[1] + found[2].lower(), name)


CHANGES: dict[str, Callable[..., Any]] = {
    f"{SERVICE}:StateTaskService._to_sfn_cased": _cased,
    f"{SERVICE}:StateTaskService._normalise_parameters": _to_request,
    f"{SERVICE}:StateTaskService._normalise_response": _from_response,
    f"{SERVICE}_aws_sdk:StateTaskServiceAwsSdk._normalise_exception_name": _sdk_error,
    **{f"{SERVICE}_{key}:StateTaskService{name}._from_error": _from_error for key, name in NAMES["naming"].items()},
}
