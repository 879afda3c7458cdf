"""Step Functions runs a definition as AWS does: what recordings of AWS, or its documentation, say of each kind."""

import json
from typing import Any

import pytest

from .aws import ROLE, Aws

RUNTIME = "States.Runtime"
CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
CAUGHT = {"Type": "Pass", "Result": "caught", "End": True}
LIST = "arn:aws:states:::aws-sdk:sfn:listActivities"


def passes(**members: Any) -> dict[str, Any]:
    return {"A": {"Type": "Pass", "End": True, **members}}


def evaluates(expression: str) -> dict[str, Any]:
    return passes(Parameters={"x.$": expression})


def chooses(**rule: Any) -> dict[str, Any]:
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("yes", "no")}
    return {"A": {"Type": "Choice", "Choices": [{"Variable": "$.v", "Next": "yes", **rule}], "Default": "no"}, **ends}


def task(**members: Any) -> dict[str, Any]:
    asked = {"Type": "Task", "Resource": LIST, "Catch": CATCH, "End": True, **members}
    return {"A": asked, "Caught": CAUGHT}


def maps(**members: Any) -> dict[str, Any]:
    inner = {"StartAt": "B", "States": passes()} | {"States": {"B": {"Type": "Pass", "End": True}}}
    return {"A": {"Type": "Map", "ItemProcessor": inner, "Catch": CATCH, "End": True, **members}, "Caught": CAUGHT}


def waits(**members: Any) -> dict[str, Any]:
    return {"A": {"Type": "Wait", "End": True, **members}}


def outcome(aws: Aws, states: dict[str, Any], given: Any) -> tuple[str, Any]:
    """The output, or the error and the words of the cause, of a machine."""
    status, error, result = aws.outcome(aws.begin(aws.machine(**states), given))
    return ("", result) if status == "SUCCEEDED" else (error, result)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (passes(Parameters={"x.$": "$.no"}), "The JSONPath '$.no' specified for the field 'x.$' could not be found"),
        (passes(Parameters={"x.$": "$$.Execution.Input.no"}), "The JSONPath '$$.Execution.Input.no' specified"),
        (passes(InputPath="$.no"), "Invalid path '$.no' : No results for path: $['no']"),
        (passes(OutputPath="$.no"), "Invalid path '$.no' : No results for path: $['no']"),
        (evaluates("$.v[3]"), "'$.v[3]' specified for the field 'x.$' could not be found"),
        (evaluates("States.Format('{}', $.no)"), "'$.no'"),
        (maps(ItemsPath="$.no"), "'$.no' could not be found"),
        (maps(ItemsPath="$.v", ItemSelector={"x.$": "$.no"}), "'$.no' could not be found"),
        (task(Parameters={"MaxResults.$": "$.no"}), "'$.no' could not be found"),
        (task(ResultSelector={"x.$": "$.no"}), "'$.no' could not be found"),
        (
            chooses(Variable="$.no", StringEquals="x"),
            "Invalid path '$.no': The choice state's condition path references",
        ),
        (chooses(Variable="$.no", IsNull=True), "Invalid path '$.no': The choice state's condition path references"),
        (chooses(Variable="$.w", NumericLessThanPath="$.no"), "'$.no' specified"),
        (waits(SecondsPath="$.no"), "The SecondsPath parameter does not reference an input value: $.no"),
    ],
)
def test_a_path_that_is_not_there_fails_the_execution_and_is_not_caught(
    aws: Aws, states: dict[str, Any], words: str
) -> None:
    error, cause = outcome(aws, states, {"v": [1], "w": 1})
    assert error == RUNTIME
    assert words in cause
    assert cause.startswith("An error occurred while executing the state 'A' (entered at the event id #")


@pytest.mark.parametrize(
    ("rule", "given", "chosen"),
    [
        ({"IsPresent": True}, {"v": None}, "yes"),
        ({"IsPresent": True}, {}, "no"),
        ({"IsNull": True}, {"v": None}, "yes"),
        ({"BooleanEquals": True}, {"v": "true"}, "no"),
        ({"NumericEquals": 1}, {"v": "1"}, "no"),
        ({"NumericEquals": 1}, {"v": True}, "no"),
        ({"StringEquals": "1"}, {"v": 1}, "no"),
        ({"IsTimestamp": True}, {"v": "2016-03-14T01:59:00.5Z"}, "yes"),
        ({"IsTimestamp": True}, {"v": "2016-03-14T01:59:00"}, "no"),
        ({"TimestampEquals": "2016-03-14T01:59:00Z"}, {"v": "2016-03-14T02:59:00+01:00"}, "yes"),
        ({"And": [{"Variable": "$.v", "IsPresent": True}, {"Variable": "$.v", "StringEquals": "x"}]}, {}, "no"),
        *(
            ({f"{kind}{comparison}Path": "$.w"}, {"v": low, "w": high}, "yes" if "Less" in comparison else "no")
            for kind, low, high in (
                ("Numeric", 1, 2),
                ("String", "a", "b"),
                ("Timestamp", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
            )
            for comparison in ("Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
        ),
        ({"BooleanEqualsPath": "$.w"}, {"v": False, "w": False}, "yes"),
    ],
)
def test_a_choice_compares_without_changing_types(
    aws: Aws, rule: dict[str, Any], given: dict[str, Any], chosen: str
) -> None:
    states = chooses(**rule)
    if "And" in rule:
        del states["A"]["Choices"][0]["Variable"]
    assert outcome(aws, states, given) == ("", chosen)


@pytest.mark.parametrize(
    ("expression", "given", "value"),
    [
        ("States.Format('{}', $.v)", None, "null"),
        ("States.Format('{}', $.v)", True, "true"),
        ("States.Format('{}', $.v)", {"a": 1}, "{a=1}"),
        ("States.Format('{}', $.v)", [1, "a"], "[1, a]"),
        ("States.MathAdd($.v, 1)", 1.5, 3),
        ("$.v[0].b", [{"b": 1}], 1),
        ("$.v[-1]", [1, 2], 2),
        ("$.v[0:1]", [1], [1]),
        ("$.v[5:7]", [1], []),
        ("$.v[*].b", [], []),
        ("$.no[*].b", [], []),
        ("$.no[1:]", [], []),
        ("$.v[*].b", [{"b": 1}], [1]),
        ("$.v[?(@.c==-1)]", [{"c": -1}, {"c": 2}], [{"c": -1}]),
        ("$.v[?(@.c==3)]", [{"c": 1}], []),
        ("$..b", {"b": 1}, [1]),
        ("$.v.a-b", {"a-b": 3}, 3),
        ("$.v['a b']", {"a b": 3}, 3),
        ("$$.Execution.Input['v']", 4, 4),
        ("$$.Execution.RedriveCount", 4, 0),
    ],
)
def test_a_path_or_function_has_the_value_of_aws(aws: Aws, expression: str, given: Any, value: Any) -> None:
    assert outcome(aws, evaluates(expression), {"v": given}) == ("", {"x": value})


@pytest.mark.parametrize(
    ("states", "error", "words"),
    [
        ({"A": {"Type": "Fail"}}, "", ""),
        (
            {"A": {"Type": "Choice", "Choices": [chooses(IsNull=True)["A"]["Choices"][0]]}, "yes": CAUGHT},
            "States.NoChoiceMatched",
            "A",
        ),
        (passes(Result=1, ResultPath="$.v.b"), "States.ResultPathMatchFailure", "Unable to apply ReferencePath $.v.b"),
        (waits(TimestampPath="$.t"), RUNTIME, "does not reference a valid ISO-8601 extended offset date-time"),
        (waits(SecondsPath="$.t"), RUNTIME, "The SecondsPath parameter cannot be parsed as a long value: $.t == soon"),
        (waits(SecondsPath="$.n"), RUNTIME, "The SecondsPath parameter references a negative value: $.n == -1"),
        (
            passes(QueryLanguage="JSONata", Output="{% $states.input.no %}"),
            "States.QueryEvaluationError",
            "(undefined)",
        ),
    ],
)
def test_a_state_fails_with_the_error_of_aws(aws: Aws, states: dict[str, Any], error: str, words: str) -> None:
    found, cause = outcome(aws, states, {"v": 1, "t": "soon", "n": -1})
    assert (found, words in cause) == (error, True)


@pytest.mark.parametrize(
    ("states", "given", "output"),
    [
        (passes(Parameters={"RoleArn.$": "$.v"}), 1, {"RoleArn": 1}),
        (
            {"A": {"Type": "Pass", "Assign": {"x.$": "$.v"}, "Next": "B"}, "B": passes(Parameters={"y.$": "$x"})["A"]},
            4,
            {"y": 4},
        ),
        (
            passes(QueryLanguage="JSONata", Output={"x": "{% $states.input.v + 1 %}", "h": "{% $hash('a', 'MD5') %}"}),
            1,
            {"x": 2, "h": "0cc175b9c0f1b6a831c399e269772661"},
        ),
        (
            task(
                Retry=[
                    {"ErrorEquals": ["States.ALL"], "BackoffRate": 2, "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}
                ]
            ),
            1,
            {"Activities": []},
        ),
        (maps(ItemsPath="$.v", Label="Each"), [1, 2], [1, 2]),
        (
            {
                "A": {
                    "Type": "Parallel",
                    "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "X"}}}],
                    "Catch": CATCH,
                    "End": True,
                },
                "Caught": CAUGHT,
            },
            1,
            "caught",
        ),
    ],
)
def test_aws_takes_and_runs(aws: Aws, states: dict[str, Any], given: Any, output: Any) -> None:
    assert outcome(aws, states, {"v": given}) == ("", output)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (passes(Foo=1), 'Field "Foo" not allowed in State Machine.States.A'),
        (
            passes(InputPath="$.["),
            "The value for the field 'InputPath' must be a valid JSONPath at /States/A/InputPath",
        ),
        (evaluates("hello"), "The value for the field 'x.$' must be a valid JSONPath at /States/A/Parameters/x.$"),
        (waits(Timestamp="yesterday"), "should be an RFC3339 timestamp"),
        ({"A": {"Type": "Pass"}}, 'State Machine.States.A does not have required field "Next"'),
        (task(TimeoutSeconds=2, HeartbeatSeconds=3), "'HeartbeatSeconds' interval MUST be smaller than the"),
        (task(Resource="arn:aws:states:::sagemaker:createModel.sync"), "createModel.sync not recognized"),
    ],
)
def test_aws_refuses_at_creation(aws: Aws, states: dict[str, Any], words: str) -> None:
    with pytest.raises(aws.states.exceptions.InvalidDefinition) as refused:
        aws.machine(**states)
    assert words in str(refused.value)


def test_a_failed_execution_has_no_output(aws: Aws) -> None:
    execution = aws.begin(aws.machine(A={"Type": "Fail", "Error": "E", "Cause": "because"}))
    aws.outcome(execution)
    found = aws.states.describe_execution(executionArn=execution)
    assert (found["error"], found["cause"], found["redriveCount"], found["redriveStatus"]) == (
        *("E", "because", 0, "REDRIVABLE"),
    )
    assert "output" not in found


def test_the_result_of_a_lambda_is_that_of_its_invocation(aws: Aws) -> None:
    arn = aws.function("return {'n': event['n'] + 1}")
    _, _, result = aws.run("arn:aws:states:::lambda:invoke", {"FunctionName": arn, "Payload": {"n": 1}})
    assert set(result) == {"ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"}
    assert (result["ExecutedVersion"], result["Payload"], result["StatusCode"]) == ("$LATEST", {"n": 2}, 200)


def test_the_history_has_each_event_inside_and_what_came_before_it(aws: Aws) -> None:
    arn = aws.function("return 1")
    call = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": arn}}
    states = {
        "Map": {
            **maps(Next="Both")["A"],
            "ItemProcessor": {"StartAt": "Old", "States": {"Old": {"Type": "Task", "Resource": arn, "End": True}}},
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "New", "States": {"New": {**call, "End": True}}}],
            "End": True,
        },
        "Caught": CAUGHT,
    }
    del states["Map"]["End"]
    execution = aws.begin(aws.machine(role=ROLE, **states), [7])
    assert aws.outcome(execution)[0] == "SUCCEEDED"
    events = aws.states.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events] == [
        *("ExecutionStarted", "MapStateEntered", "MapStateStarted", "MapIterationStarted", "TaskStateEntered"),
        *("LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded", "TaskStateExited"),
        *("MapIterationSucceeded", "MapStateSucceeded", "MapStateExited"),
        *("ParallelStateEntered", "ParallelStateStarted", "TaskStateEntered"),
        *("TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"),
        *("ParallelStateSucceeded", "ParallelStateExited", "ExecutionSucceeded"),
    ]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert [event["previousEventId"] for event in events][:5] == [0, 0, 2, 3, 4]
    assert json.loads(events[-1]["executionSucceededEventDetails"]["output"])[0]["Payload"] == 1
