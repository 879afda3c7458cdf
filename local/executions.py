"""What ministack's Step Functions lacks: tasks of SageMaker and S3, ends that reach a task's job, and AWS's limits.

A method here wraps one function of ministack's, which it is given first; local/plug.py knows which.
"""

import contextvars
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from statelint.config import Config
from statelint.linter import Linter

from local import integrations
from local.access import AccessError, Credentials, Need
from local.sagemaker import states
from local.sagemaker.service import SageMaker

Answer = tuple[int, dict[str, str], bytes]
MAX_DEFINITION = 1_048_576
"""Characters (API model, Definition)."""
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
"""What States.ALL does not stand for (Step Functions Developer Guide, "Handling errors")."""


@dataclass(frozen=True)
class Engine:
    """ministack's Step Functions.

    Args:
        failure: The exception of a task's failure, made of an error and a cause.
        find: An execution by its ARN.
        time_out: Ends an execution as TIMED_OUT.
        start, stop, describe: StartExecution, StopExecution and DescribeExecution.
        tokens: Tasks that wait for a callback, by their token.
    """

    failure: type[Any]
    find: Callable[[str], dict[str, Any]]
    time_out: Callable[[dict[str, Any]], None]
    start: Callable[[dict[str, Any]], Answer]
    stop: Callable[[dict[str, Any]], Answer]
    describe: Callable[[dict[str, Any]], Answer]
    tokens: dict[str, Any]


class CallbackError(Exception):
    """A Lambda failed that was to call back; ministack swallows its own exception of that and waits on."""


class Executions:
    """Executions under way, and the jobs and executions that their tasks wait for.

    Args:
        service: SageMaker, which runs the jobs.
        engine: ministack's Step Functions.
    """

    def __init__(self, service: SageMaker, engine: Engine) -> None:
        self._service = service
        self._engine = engine
        self._failure = engine.failure
        self._lock = threading.Lock()
        self._calls: dict[str, list[states.Call]] = {}
        self._parents: dict[str, list[states.Call]] = {}
        self._execution: contextvars.ContextVar[str] = contextvars.ContextVar("execution", default="")
        self._attempt: contextvars.ContextVar[list[states.Call] | None] = contextvars.ContextVar(
            "attempt", default=None
        )
        self._callback: contextvars.ContextVar[bool] = contextvars.ContextVar("callback", default=False)

    @contextmanager
    def _call(self) -> Iterator[states.Call]:
        """A wait that ends early when the task's execution is stopped or the task's time is over."""
        call = states.Call(self._execution.get())
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

    def sagemaker(self, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Run a `sagemaker:…` task."""
        with self._call() as call:
            try:
                return states.run(self._service, resource, parameters, call)
            except states.TaskFailure as failure:
                raise self._failure(failure.error, failure.cause) from failure

    def nested(self, original: Callable[..., Any], resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
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
            return states.pascal(started)
        arn = started["executionArn"]
        with self._call() as call:
            self._await_child(arn, call)
        document = states.described(json.loads(self._engine.describe({"executionArn": arn})[2]))
        if resource.endswith(":2"):
            document.update({name: json.loads(document[name]) for name in ("Input", "Output") if name in document})
        if document["Status"] != "SUCCEEDED" and not call.cancelled:
            raise self._failure("States.TaskFailed", json.dumps(document))
        return document

    def _await_child(self, arn: str, call: states.Call) -> None:
        child = self._engine.find(arn)
        with self._lock:
            self._parents.setdefault(arn, []).append(call)
        if child["stopDate"]:
            call.wake.set()
        call.wake.wait()
        if call.cancelled and child["status"] == "RUNNING":
            self._engine.stop({"executionArn": arn})

    def status_event(self, original: Callable[..., None], execution: dict[str, Any]) -> None:
        """Publish a change of status; the tasks that wait for an end go on."""
        original(execution)
        if execution["status"] != "RUNNING":
            with self._lock:
                parents = self._parents.pop(execution["executionArn"], [])
            for call in parents:
                call.wake.set()

    def sdk_call(self, original: Callable[..., Any], resource: str, parameters: dict[str, Any]) -> Any:
        """Run an `aws-sdk:…` task; ministack lacks s3:getObject."""
        if not resource.endswith(":aws-sdk:s3:getObject"):
            return original(resource, parameters)
        client = self._service.host.client("s3", Credentials())
        try:
            return states.get_object(client, parameters)
        except states.TaskFailure as failure:
            raise self._failure(failure.error, failure.cause) from failure

    def allowed(self, original: Callable[..., Any], resource: str, parameters: dict[str, Any], *more: Any) -> Any:
        """Run a task if its execution still runs and the state machine's role may do what it asks for."""
        execution = self._engine.find(self._execution.get())
        if execution["status"] != "RUNNING":  # it was stopped while a retry waited
            raise self._failure("States.Runtime", "the execution has ended")
        host = self._service.host
        error, needs = integrations.needs(resource, parameters, host.arn)
        self._check(error, needs)
        return original(resource, parameters, *more)

    def callback(
        self, original: Callable[..., Any], resource: str, parameters: dict[str, Any], token: str, state_def: Any
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

    def _check(self, error: str, needs: list[Need]) -> None:
        access = self._service.host.access
        started = self._engine.find(self._execution.get())["events"][0]["executionStartedEventDetails"]
        try:
            access.check(access.act(started["roleArn"], "states.amazonaws.com").key, needs)
        except AccessError as refusal:
            raise self._failure(error, str(refusal)) from refusal

    def task(
        self, original: Callable[..., Any], state_def: Any, raw_input: Any, execution: dict[str, Any] | None, ctx: Any
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
        calls: list[states.Call] = []
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

    def stop(self, original: Callable[..., Any], request: dict[str, Any]) -> Any:
        """StopExecution: its jobs are stopped, too."""
        answer = original(request)
        self._cancel(request.get("executionArn", ""))
        return answer

    def fail(self, original: Callable[..., Any], execution: dict[str, Any], error: str, cause: str) -> None:
        """End an execution as FAILED; one that has ended stays so, whatever its tasks then raise."""
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    def run(self, original: Callable[..., Any], arn: str, machines: Mapping[str, dict[str, Any]]) -> None:
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

    def _expire(self, execution: dict[str, Any]) -> None:
        if execution["status"] == "RUNNING":
            self._engine.time_out(execution)
            self._cancel(execution["executionArn"])

    def _cancel(self, arn: str) -> None:
        with self._lock:
            calls = list(self._calls.get(arn, ()))
        for call in calls:
            call.cancel()

    def start(self, original: Callable[..., Answer], request: dict[str, Any]) -> Answer:
        """StartExecution: with the name and input of a running one it answers the same (API reference)."""
        if len(request.get("input", "").encode()) > states.MAX_PAYLOAD:
            return refusal("ValidationException", f"input must be at most {states.MAX_PAYLOAD} bytes")
        answer = original(request)
        document = json.loads(answer[2])
        if document.get("__type") == "ExecutionAlreadyExists":
            execution = self._engine.find(document["message"].split("'")[1])
            if execution["status"] == "RUNNING" and execution["input"] == request.get("input", "{}"):
                first = {name: execution[name] for name in ("executionArn", "startDate")}
                return 200, answer[1], json.dumps(first).encode()
        return answer

    def event(
        self, original: Callable[..., Any], execution: Any, kind: str, details: dict[str, dict[str, Any]] | None = None
    ) -> Any:
        """Add to the history; an output over 256 KiB ends the execution (quotas, "input or output size")."""
        for detail in (details or {}).values():
            if len(detail.get("output", "").encode()) > states.MAX_PAYLOAD:
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
