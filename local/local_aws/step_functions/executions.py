"""Runs executions on moto's interpreter: from StartExecution to the last event of the history.

ministack keeps state machines and executions and answers the API; a method of Executions wraps one function of
ministack's, which is its first argument. engine.py binds them.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
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

from local_aws.sagemaker.api.service import Response

Document = dict[str, Any]
log = logging.getLogger(__name__)
callbacks.ActivityTaskStartEndpoint._outcome = None
"""moto reads it before a worker has taken the task: a task that none takes then fails with States.Runtime."""
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
        # moto adds these for the state, too, whose failure ends the execution
        twice = event_type == HistoryEventType.ExecutionFailed and self._env.is_running()
        if event_type == HistoryEventType.EvaluationFailed:
            twice = "state" not in event_details["evaluationFailedEventDetails"]
        if ended or twice or event_type in ENDED_BY_OTHERS:
            return int(context.last_published_event_id)
        return int(super().add_event(context, event_type, event_details, *more, **named))

    def time_out(self) -> None:
        """Add the last event of an execution whose time is over, which the interpreter writes late."""
        last: Any = {"executionTimedOutEventDetails": {}}
        super().add_event(EventHistoryContext(0), HistoryEventType.ExecutionTimedOut, last)


class Worker(ExecutionWorker):
    """The interpreter of one execution, in the calling thread."""

    def __init__(
        self, execution: Document, machine: Document, account: str, region: str, activities: Any = None
    ) -> None:
        arn, role = execution["executionArn"], machine["roleArn"]
        given = json.loads(execution["input"])
        definition, kind = machine["definition"], machine.get("type", "STANDARD")
        details = evaluation.EvaluationDetails(
            evaluation.AWSExecutionDetails(account, region, role),
            evaluation.ExecutionDetails(arn, execution["name"], role, given, execution["startDate"]),
            evaluation.StateMachineDetails(machine["stateMachineArn"], machine["name"], kind, definition),
        )
        super().__init__(details, self, None, activities or {})
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

    def end(self) -> Document:
        """Run, and say how it ended: nothing if it was stopped."""
        env = self.run()
        ended = env.program_state()
        if isinstance(ended, ProgramEnded):
            return {"status": "SUCCEEDED", "output": to_json_str(env.states.get_input(), separators=(",", ":"))}
        if isinstance(ended, ProgramError):
            return {"status": "FAILED", **(ended.error or {})}
        if isinstance(ended, ProgramTimedOut):
            self.history.time_out()
            return {"status": "TIMED_OUT"}
        return {}


class Executions:
    """Executions that run; of ministack its executions, machines and tasks of activities by ARN.

    `announce` is for a change of status.
    """

    def __init__(
        self,
        known: Mapping[str, Document],
        machines: Mapping[str, Document],
        activities: Mapping[str, list[Document]],
        announce: Callable[[Document], None],
    ) -> None:
        self._known, self._machines, self._activities, self._announce = known, machines, activities, announce
        self._lock = threading.RLock()  # StopExecution announces the end
        self._workers: dict[str, Worker] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def run(self, original: Callable[[str], None], arn: str) -> None:
        """Run an execution to its end, or to the machine's TimeoutSeconds."""
        execution = self._known[arn]
        machine = self._machines.get(execution["stateMachineArn"])
        if machine is None or execution["status"] != "RUNNING":
            original(arn)
            return
        *_, region, account, _, _, _ = arn.split(":")
        worker = self._workers[arn] = Worker(execution, machine, account, region, SimpleNamespace(get=self._activity))
        try:
            end = worker.end()
        except Exception as error:  # of the interpreter itself: nothing else would end the execution
            log.exception("execution %s", arn)
            cause = f"The local Step Functions failed: {error!r}. The server's log has the traceback."
            end = {"status": "FAILED", "error": "States.Runtime", "cause": cause}
        finally:
            del self._workers[arn]
            TMP_THREADS.clear()
        self._conclude(execution, end)

    def _conclude(self, execution: Document, end: Document) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            if execution["status"] != "RUNNING":  # StopExecution was first
                return
            execution.update(end, stopDate=now)
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
                return reply(first)
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

    def _activity(self, arn: str) -> SimpleNamespace | None:
        """What the interpreter knows of an activity: its tasks, which ministack gives to workers."""
        if (tasks := self._activities.get(arn)) is None:
            return None
        return SimpleNamespace(
            add_task=lambda task: tasks.append({"taskToken": task.task_token, "input": task.task_input})
        )

    async def give_task(self, original: Any, request: Document) -> Response:
        """GetActivityTask: the state that waits for the task has started."""
        answer: Response = await original(request)
        for waiting in self._waiting_with(json.loads(answer[2]).get("taskToken", "")):
            waiting.notify_activity_task_start(request.get("workerName"))
        return answer

    def send_success(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskSuccess."""
        token, output = request.get("taskToken", ""), request.get("output", "")
        try:
            json.loads(output)
        except ValueError as error:
            if self._waiting_with(token):
                return refusal("InvalidOutput", f"Invalid Output: '{error}'")
        return self._notify(token, callbacks.CallbackOutcomeSuccess(token, output))

    def send_failure(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskFailure."""
        token = request.get("taskToken", "")
        return self._notify(token, callbacks.CallbackOutcomeFailure(token, request.get("error"), request.get("cause")))

    def send_heartbeat(self, original: Callable[[Document], Response], request: Document) -> Response:
        """SendTaskHeartbeat."""
        return self._notify(request.get("taskToken", ""), None)

    def _waiting_with(self, token: str) -> list[Any]:
        """The interpreter's callback for the task that waits with this token."""
        pools = [each.env.callback_pool_manager for each in list(self._workers.values()) if each.env]
        return [found for pool in pools if (found := pool.get(token))]

    def _notify(self, token: str, outcome: callbacks.CallbackOutcome | None) -> Response:
        """Tell the task that waits with this token; without an outcome it is a heartbeat."""
        for worker in list(self._workers.values()):
            pool = worker.env.callback_pool_manager if worker.env else None
            try:
                if pool and (pool.notify(token, outcome) if outcome else pool.heartbeat(token)):
                    return reply({})
            except callbacks.CallbackNotifyConsumerError:
                return refusal("TaskTimedOut", f"Task Timed Out: 'Provided task does not exist anymore: {token}'")
        return refusal("InvalidToken", f"Invalid Token: '{token}'")


def refusal(code: str, message: str) -> Response:
    """An error as Step Functions answers it."""
    return reply({"__type": code, "message": message}, 400)


def reply(document: Document, status: int = 200) -> Response:
    """An answer in JSON 1.0."""
    return status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(document).encode()
