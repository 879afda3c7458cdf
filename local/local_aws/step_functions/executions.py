"""Runs executions on moto's interpreter: from StartExecution to the last event of the history.

ministack keeps state machines and executions and answers the API; a method of Executions wraps one function of
ministack's, which is its first argument. ministack_adapter/step_functions.py binds them.
"""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import moto.stepfunctions.parser.asl.eval.callback.callback as callbacks
import moto.stepfunctions.parser.asl.eval.evaluation_details as evaluation
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.utils import TMP_THREADS

from local_aws.sagemaker.api.service import Response, SageMaker
from local_aws.step_functions import interpreter
from local_aws.step_functions.definitions import definition_problem
from local_aws.step_functions.tasks import Tasks

Document = dict[str, Any]
MAX_PAYLOAD = 262_144  # bytes (Step Functions' quotas page)
ENDED_BY_OTHERS = (HistoryEventType.ExecutionAborted, HistoryEventType.ExecutionTimedOut)


class History(EventManager):
    """The events of one execution; none is added after its end, which the interpreter then notices at the latest."""

    def __init__(self, execution: Document, env: Environment) -> None:
        super().__init__()
        self._execution, self._env = execution, env
        if execution["status"] == "RUNNING":
            execution["events"].clear()  # the interpreter writes the first event, too
        self._history_event_list = execution["events"]

    def add_event(self, context: Any, event_type: Any, event_details: Any = None, *more: Any, **named: Any) -> int:
        """Add an event, unless the execution has ended; how others end it is written by them."""
        if ended := self._execution["status"] != "RUNNING":  # StopExecution may come before the first state
            self._env.set_stop(datetime.now(UTC), None, None)
        if ended or event_type in ENDED_BY_OTHERS:
            return int(context.last_published_event_id)
        return int(super().add_event(context, event_type, event_details, *more, **named))

    def time_out(self) -> None:
        """Add the last event of an execution whose time is over, which the interpreter writes late."""
        last: Any = {"executionTimedOutEventDetails": {}}
        super().add_event(EventHistoryContext(0), HistoryEventType.ExecutionTimedOut, last)


class _Worker(ExecutionWorker):
    """The interpreter of one execution, in the calling thread."""

    def __init__(self, execution: Document, machine: Document, account: str, region: str) -> None:
        arn, role = execution["executionArn"], machine["roleArn"]
        given = json.loads(execution["input"])
        definition, kind = machine["definition"], machine.get("type", "STANDARD")
        details = evaluation.EvaluationDetails(
            evaluation.AWSExecutionDetails(account, region, role),
            evaluation.ExecutionDetails(arn, execution["name"], role, given, execution["startDate"]),
            evaluation.StateMachineDetails(machine["stateMachineArn"], machine["name"], kind, definition),
        )
        super().__init__(details, self, None, {})
        self._execution = execution
        self.history: History

    def _get_evaluation_environment(self) -> Environment:
        env = super()._get_evaluation_environment()
        env.event_manager = self.history = History(self._execution, env)
        env.states.context_object.context_object_data["Execution"]["RedriveCount"] = 0
        return env

    def terminated(self) -> None:
        """The interpreter's call at the end."""

    def run(self) -> Environment:
        """The environment after the end."""
        self._execution_logic()
        return self.env


class Executions:
    """Executions that run; of ministack its executions and machines by ARN, and `announce` for a change of status."""

    check_definition = staticmethod(definition_problem)

    def __init__(
        self, known: Mapping[str, Document], machines: Mapping[str, Document], announce: Callable[[Document], None]
    ) -> None:
        self._known, self._machines, self._announce = known, machines, announce
        self._lock = threading.RLock()  # StopExecution announces the end
        self._workers: dict[str, _Worker] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def run(self, original: Callable[[str], None], arn: str) -> None:
        """Run an execution to its end, or to the machine's TimeoutSeconds."""
        execution = self._known[arn]
        machine = self._machines.get(execution["stateMachineArn"])
        if machine is None or execution["status"] != "RUNNING":
            return original(arn)
        *_, region, account, _, _, _ = arn.split(":")
        worker = self._workers[arn] = _Worker(execution, machine, account, region)
        try:
            self._conclude(execution, worker, worker.run())
        finally:
            del self._workers[arn]
            TMP_THREADS.clear()

    def _conclude(self, execution: Document, worker: _Worker, env: Environment) -> None:
        ended = env.program_state()
        end: Document = {"stopDate": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        if isinstance(ended, ProgramEnded):
            end |= {"status": "SUCCEEDED", "output": to_json_str(env.states.get_input(), separators=(",", ":"))}
        elif isinstance(ended, ProgramError):
            end |= {"status": "FAILED", **(ended.error or {})}
        elif isinstance(ended, ProgramTimedOut):
            end |= {"status": "TIMED_OUT"}
            worker.history.time_out()
        with self._lock:
            if execution["status"] != "RUNNING":  # StopExecution was first
                return
            execution.update(end)
        self._announce(execution)

    def when_ended(self, arn: str, call: Callable[[], None]) -> None:
        """Call back once an execution has ended, or now if it has."""
        with self._lock:
            if self._known[arn]["status"] == "RUNNING":
                self._waiting.setdefault(arn, []).append(call)
                return
        call()

    def status_event(self, original: Callable[[Document], None], execution: Document) -> None:
        """Publish a change of status; the tasks that wait for an end go on."""
        original(execution)
        if execution["status"] != "RUNNING":
            with self._lock:
                waiting = self._waiting.pop(execution["executionArn"], [])
            for call in waiting:
                call()

    def stop(self, original: Callable[[Document], Response], request: Document) -> Response:
        """StopExecution: what its tasks started is stopped, too."""
        with self._lock:
            answer = original(request)
        worker = self._workers.get(request.get("executionArn", ""))
        if worker and worker.env and answer[0] == 200:
            worker.env.set_stop(datetime.now(UTC), None, None)
        return answer

    def start(self, original: Callable[[Document], Response], request: Document) -> Response:
        """StartExecution: with the name and input of a running one it answers the same (API reference)."""
        if len(request.get("input", "").encode()) > MAX_PAYLOAD:
            return refusal("ValidationException", f"input must be at most {MAX_PAYLOAD} bytes")
        try:
            json.loads(request.get("input") or "{}")
        except ValueError as error:
            return refusal("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'")
        answer = original(request)
        document = json.loads(answer[2])
        if document.get("__type") == "ExecutionAlreadyExists":
            execution = self._known[document["message"].split("'")[1]]
            if execution["status"] == "RUNNING" and execution["input"] == request.get("input", "{}"):
                first = {name: execution[name] for name in ("executionArn", "startDate")}
                return 200, answer[1], json.dumps(first).encode()
        return answer

    def describe(self, original: Callable[[Document], Response], request: Document) -> Response:
        """DescribeExecution, with what is said of a redrive, which nothing here does."""
        status, headers, body = original(request)
        document = json.loads(body)
        if status == 200:
            ended = document["status"]
            able = ended in ("FAILED", "ABORTED", "TIMED_OUT")
            document |= {"redriveCount": 0, "redriveStatus": "REDRIVABLE" if able else "NOT_REDRIVABLE"}
            if not able:
                document["redriveStatusReason"] = f"Execution is {ended} and cannot be redriven"
            hidden = () if ended == "SUCCEEDED" else ("output", "outputDetails")
            document = {key: value for key, value in document.items() if value is not None and key not in hidden}
        return status, headers, json.dumps(document).encode()

    def send_success(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskSuccess."""
        token, output = request.get("taskToken", ""), request.get("output", "")
        try:
            json.loads(output)
        except ValueError as error:
            if any(each.env and each.env.callback_pool_manager.get(token) for each in list(self._workers.values())):
                return refusal("InvalidOutput", f"Invalid Output: '{error}'")
        return self._notify(token, callbacks.CallbackOutcomeSuccess(token, output))

    def send_failure(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskFailure."""
        token = request.get("taskToken", "")
        return self._notify(token, callbacks.CallbackOutcomeFailure(token, request.get("error"), request.get("cause")))

    def send_heartbeat(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskHeartbeat."""
        return self._notify(request.get("taskToken", ""), None)

    def _notify(self, token: str, outcome: callbacks.CallbackOutcome | None) -> Response:
        """Tell the task that waits with this token; without an outcome it is a heartbeat."""
        for worker in list(self._workers.values()):
            pool = worker.env.callback_pool_manager if worker.env else None
            try:
                if pool and (pool.notify(token, outcome) if outcome else pool.heartbeat(token)):
                    return 200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}"
            except callbacks.CallbackNotifyConsumerError:
                return refusal("TaskTimedOut", f"Task Timed Out: 'Provided task does not exist anymore: {token}'")
        return refusal("InvalidToken", f"Invalid Token: '{token}'")


def change_moto(service: SageMaker, executions: Executions, add_functions: Callable[[Any], None]) -> None:
    """Let moto's interpreter call the service and its tasks wait for executions. Raises AdapterError."""
    tasks = Tasks(service, executions.when_ended)
    interpreter.install({**interpreter.changes(service.host.wait_scale, add_functions), **tasks.changes()})


def refusal(code: str, message: str) -> Response:
    """An error as Step Functions answers it."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return 400, {"Content-Type": "application/x-amz-json-1.0"}, body
