"""TestState: one state of a definition, on the interpreter that runs executions."""

import json
from datetime import UTC, datetime
from typing import Any

from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError
from moto.stepfunctions.parser.asl.static_analyser.test_state.test_state_analyser import TestStateStaticAnalyser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.test_state.execution_worker import TestStateExecutionWorker

from local_aws.sagemaker.api.service import Response
from local_aws.sagemaker.host import Host
from local_aws.step_functions.executions import Document, Worker, refusal, reply

UNKNOWN = ("mock", "context", "stateConfiguration")


class _StateWorker(Worker, TestStateExecutionWorker):
    """The interpreter of one state, in the calling thread; `variables` are those of the machine."""

    variables: Document

    def _get_evaluation_environment(self) -> Environment:
        env = super()._get_evaluation_environment()
        for name, value in self.variables.items():
            env.variable_store.set(name, value)
        return env


def run_state(host: Host, original: Any, request: Document) -> Response:
    """TestState, without what replaces the state's surroundings."""
    if unknown := [name for name in UNKNOWN if name in request]:
        return refusal("ValidationException", f"TestState does not run locally with {', '.join(unknown)}")
    try:
        definition, given = json.loads(request["definition"]), request.get("input", "{}")
        variables = json.loads(request.get("variables", "{}"))
        json.loads(given)
        if "States" in definition:
            language = definition.get("QueryLanguage", "JSONPath")
            state = definition["States"][request.get("stateName") or definition["StartAt"]]
            definition = {"QueryLanguage": language, **state}
        text = json.dumps(definition, ensure_ascii=False)
        TestStateStaticAnalyser().analyse(text)
    except Exception as error:
        return refusal("InvalidDefinition", f"Invalid State Machine Definition: '{error}'")
    if definition["Type"] == "Task" and "roleArn" not in request:
        return refusal("ValidationException", "RoleArn must be specified when testing a Task state")
    place = {"name": "TestState", "stateMachineArn": host.arn("states", "stateMachine:TestState")}
    machine = {**place, "definition": text, "roleArn": request.get("roleArn", "")}
    execution: Document = {**place, "executionArn": host.arn("states", "execution:TestState:TestState")}
    execution |= {"startDate": datetime.now(UTC).isoformat(), "input": given, "status": "RUNNING", "events": []}
    worker = _StateWorker(execution, machine, host.account, host.region)
    worker.variables = variables
    found = _result(worker.run(), execution["events"])
    if request.get("inspectionLevel", "INFO") == "INFO":
        del found["inspectionData"]
    return reply(found)


def _result(env: Environment, events: list[Document]) -> Document:
    found: Document = {"inspectionData": env.inspection_data}
    for event in events:
        for details in event.values():
            if isinstance(details, dict) and "error" in details:
                found |= {"status": "CAUGHT_ERROR", **{name: details.get(name) for name in ("error", "cause")}}
    if "errorDetails" in env.inspection_data:
        return found | {"status": "RETRIABLE"}
    ended = env.program_state()
    if isinstance(ended, ProgramError):
        return found | {"status": "FAILED", **(ended.error or {})}
    if next_state := getattr(ended, "next_state_name", None):
        found["nextState"] = next_state
    return {"status": "SUCCEEDED", "output": to_json_str(env.states.get_input(), separators=(",", ":")), **found}
