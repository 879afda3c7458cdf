"""Step Functions runs a definition as AWS does: what recordings of AWS, or its documentation, say of each kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from .aws import ROLE, Aws, refused

CASES = json.loads(Path(__file__).with_name("interpreter.json").read_text(encoding="utf-8"))


def states(given: dict[str, Any]) -> dict[str, Any]:
    """All states of a machine, of `{kind: members}` those of the kind with these members in its first state."""
    ((name, members), *more) = given.items()
    if more or name not in CASES["kinds"]:
        return given
    first, *others = CASES["kinds"][name].items()
    return {"A": first[1] | members, **dict(others)}


def outcome(aws: Aws, given: dict[str, Any], value: Any) -> tuple[str, Any]:
    """The output, or the error and the words of the cause, of a machine."""
    status, error, result = aws.outcome(aws.begin(aws.machine(**states(given)), value))
    return ("", result) if status == "SUCCEEDED" else (error, result)


@pytest.mark.parametrize(("given", "words"), CASES["missing paths"])
def test_a_path_that_is_not_there_fails_the_execution_and_is_not_caught(aws: Aws, given: Any, words: str) -> None:
    error, cause = outcome(aws, given, {"v": [1], "w": 1})
    assert error == "States.Runtime"
    assert words in cause
    assert cause.startswith("An error occurred while executing the state 'A' (entered at the event id #")


@pytest.mark.parametrize(("rule", "value", "chosen"), CASES["choices"])
def test_a_choice_compares_without_changing_types(aws: Aws, rule: dict[str, Any], value: Any, chosen: str) -> None:
    variable = {} if "And" in rule else {"Variable": "$.v"}
    assert outcome(aws, {"Choice": {"Choices": [{"Next": "yes", **variable, **rule}]}}, value) == ("", chosen)


@pytest.mark.parametrize(("expression", "given", "value"), CASES["values"])
def test_a_path_or_function_has_the_value_of_aws(aws: Aws, expression: str, given: Any, value: Any) -> None:
    assert outcome(aws, {"Pass": {"Parameters": {"x.$": expression}}}, {"v": given}) == ("", {"x": value})


@pytest.mark.parametrize(("given", "error", "words"), CASES["failures"])
def test_a_state_fails_with_the_error_of_aws(aws: Aws, given: dict[str, Any], error: str, words: str) -> None:
    found, cause = outcome(aws, given, {"v": 1, "t": "soon", "n": -1})
    assert (found, words in cause) == (error, True)


@pytest.mark.parametrize(("given", "value", "output"), CASES["outputs"])
def test_aws_takes_and_runs(aws: Aws, given: dict[str, Any], value: Any, output: Any) -> None:
    assert outcome(aws, given, {"v": value}) == ("", output)


@pytest.mark.parametrize(("given", "words"), CASES["refusals"])
def test_aws_refuses_at_creation(aws: Aws, given: dict[str, Any], words: str) -> None:
    with pytest.raises(aws.states.exceptions.InvalidDefinition) as refused:
        aws.machine(**states(given))
    assert words in str(refused.value)


@pytest.mark.parametrize(("definition", "expected"), CASES["single states"])
def test_one_state_is_tested_as_an_execution_runs_it(
    aws: Aws, definition: dict[str, Any], expected: dict[str, Any]
) -> None:
    states = aws.client("stepfunctions", inject_host_prefix=False)
    found = states.test_state(definition=json.dumps(definition), roleArn=ROLE, input='{"v": 1}', variables='{"w": 2}')
    assert json.loads(found.get("output", "null")) == expected.pop("output", None)
    assert {name: found[name] for name in expected} == expected
    assert ("nextState" in found, "cause" in found) == ("nextState" in expected, "error" in expected)


def test_the_test_of_a_state_reports_its_steps_and_refuses_a_mock(aws: Aws) -> None:
    states = aws.client("stepfunctions", inject_host_prefix=False)
    given = {"definition": json.dumps({"Type": "Pass", "InputPath": "$.v", "End": True}), "input": '{"v": 1}'}
    steps = states.test_state(**given, inspectionLevel="DEBUG")["inspectionData"]
    assert (steps["input"], steps["afterInputPath"]) == ('{"v": 1}', "1")
    assert refused(states.test_state, **given, mock={"result": "1"}) == (
        *("ValidationException", "TestState does not run locally with mock"),
    )
    task = json.dumps({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:listActivities", "End": True})
    assert refused(states.test_state, definition=task)[1] == "RoleArn must be specified when testing a Task state"


def test_a_redrive_is_refused_by_name(aws: Aws) -> None:
    execution = aws.begin(aws.machine(A={"Type": "Fail"}))
    aws.outcome(execution)
    assert refused(aws.states.redrive_execution, executionArn=execution) == (
        *("ExecutionNotRedrivable", "RedriveExecution does not run locally. Start a new execution."),
    )


def test_a_failed_execution_has_no_output(aws: Aws) -> None:
    execution = aws.begin(aws.machine(A={"Type": "Fail", "Error": "E", "Cause": "because"}))
    aws.outcome(execution)
    found = aws.states.describe_execution(executionArn=execution)
    told = [found[name] for name in ("error", "cause", "redriveCount", "redriveStatus")]
    assert told == ["E", "because", 0, "REDRIVABLE"]
    assert "output" not in found


def test_the_result_of_a_lambda_is_that_of_its_invocation(aws: Aws) -> None:
    arn = aws.function("return {'n': event['n'] + 1}")
    _, _, result = aws.run("arn:aws:states:::lambda:invoke", {"FunctionName": arn, "Payload": {"n": 1}})
    assert set(result) == {"ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"}
    assert (result["ExecutedVersion"], result["Payload"], result["StatusCode"]) == ("$LATEST", {"n": 2}, 200)


@pytest.mark.parametrize(("given", "types"), CASES["ends"])
def test_the_history_ends_with_one_event_of_the_failure(aws: Aws, given: dict[str, Any], types: list[str]) -> None:
    execution = aws.begin(aws.machine(**states(given)))
    aws.outcome(execution)
    events = aws.states.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events][1:] == types


def test_the_history_has_each_event_inside_and_what_came_before_it(aws: Aws) -> None:
    arn = aws.function("return 1")
    call = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": arn}}
    processor = {"StartAt": "Old", "States": {"Old": {"Type": "Task", "Resource": arn, "End": True}}}
    branch = {"StartAt": "New", "States": {"New": {**call, "End": True}}}
    machine = aws.machine(
        Map={"Type": "Map", "ItemProcessor": processor, "Next": "Both"},
        Both={"Type": "Parallel", "Branches": [branch], "End": True},
    )
    execution = aws.begin(machine, [7])
    assert aws.outcome(execution)[0] == "SUCCEEDED"
    events = aws.states.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events] == CASES["history"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert [event["previousEventId"] for event in events][:5] == [0, 0, 2, 3, 4]
    assert json.loads(events[-1]["executionSucceededEventDetails"]["output"])[0]["Payload"] == 1
