"""Step Functions: SageMaker's integrations, nested executions, Lambdas, failures of tasks, limits."""

import json
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from local_aws.step_functions.executions import Executions

from .aws import ARN, EVERYTHING, NESTED, ROLE, SYNC, Aws, but, unique, until, variant

FAILURES = tomllib.loads(Path(__file__).with_name("task_failures.toml").read_text(encoding="utf-8"))
S3_GET = "arn:aws:states:::aws-sdk:s3:getObject"
WAIT = {"Type": "Wait", "Seconds": 100_000, "End": True}
DONE = {"Type": "Pass", "End": True}


def nest(aws: Aws, child: str, role: str = ROLE, resource: str = NESTED) -> str:
    """The ARN of an execution whose task runs the machine `child`."""
    document = {"word": "x", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id"}
    parameters = {"StateMachineArn": child, "Name.$": "$$.Execution.Name", "Input": document}
    return aws.execute(resource, parameters, role)


def answered(outcome: tuple[str, str, Any]) -> dict[str, Any]:
    """The result of an optimised integration that succeeded, after a look at what it says of the HTTP answer."""
    status, _, result = outcome
    http, response = result.pop("SdkHttpMetadata"), result.pop("SdkResponseMetadata")
    assert (status, http["HttpStatusCode"], list(response)) == ("SUCCEEDED", 200, ["RequestId"])
    assert http["AllHttpHeaders"] == {name: [value] for name, value in http["HttpHeaders"].items()}
    return dict(result)


def executions(aws: Aws, machine: str) -> list[dict[str, Any]]:
    """The executions of a machine, after the first has begun."""
    return list(until(lambda: aws.states.list_executions(stateMachineArn=machine)["executions"]))


@pytest.mark.parametrize("case", [pytest.param(row, id=row["resource"]) for area in FAILURES.values() for row in area])
def test_a_task_fails_with_the_error_of_its_integration(aws: Aws, case: dict[str, Any]) -> None:
    denied = case.get("denied")
    role = aws.role(unique("role"), ["states"], but(denied)) if denied else ROLE
    parameters = case.get("parameters") or aws.training_request(**case.get("change", {}))
    status, error, cause = aws.run(f"arn:aws:states:::{case['resource']}", parameters, role)
    assert (status, error) == ("FAILED", case["error"])
    assert case.get("cause", "") in cause
    assert not denied or f"is not authorized to perform: {denied} on resource" in cause


def test_sync_returns_the_description_with_times_in_milliseconds(aws: Aws) -> None:
    request = aws.training_request(label="x", Tags=[{"Key": "mine", "Value": "1"}])
    status, _, job = aws.run(SYNC, request)
    assert (status, job["TrainingJobStatus"]) == ("SUCCEEDED", "Completed")
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"{request['TrainingJobName']}/output/model.tar.gz")
    described = aws.sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])
    assert job["CreationTime"] == round(described["CreationTime"].timestamp() * 1000)
    tags = {tag["Key"]: tag["Value"] for tag in aws.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]}
    assert tags.pop("AWS_STEP_FUNCTIONS_EXECUTION_ARN").startswith("arn:aws:states:us-east-1:123456789012:execution:")
    assert tags == {"mine": "1", "MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS"}
    for resource in (SYNC, "arn:aws:states:::aws-sdk:sagemaker:createTrainingJob"):
        assert aws.run(resource, request)[1] == "SageMaker.ResourceInUseException"


def test_without_sync_the_task_returns_at_once(aws: Aws) -> None:
    request = aws.training_request(action="hang")
    name = request["TrainingJobName"]
    expected = {"TrainingJobArn": f"{ARN}:training-job/{name}"}
    assert answered(aws.run(SYNC.removesuffix(".sync"), request)) == expected
    aws.sagemaker.stop_training_job(TrainingJobName=name)


@pytest.mark.parametrize(("action", "ends"), [("fail", ["Failed"] * 2), ("hang", ["Stopped", "MaxRuntimeExceeded"])])
def test_a_job_without_success_fails_the_task(aws: Aws, action: str, ends: list[str]) -> None:
    seconds = 1 if action == "hang" else 600
    request = aws.training_request(action=action, StoppingCondition={"MaxRuntimeInSeconds": seconds})
    status, error, cause = aws.run(SYNC, request)
    assert (status, error) == ("FAILED", "States.TaskFailed")
    assert [json.loads(cause)[name] for name in ("TrainingJobStatus", "SecondaryStatus")] == ends


def test_an_endpoint_is_created_and_updated_by_tasks(aws: Aws) -> None:
    name = unique("endpoint")
    container = aws.sagemaker.describe_model(ModelName=aws.model("one"))["PrimaryContainer"]
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("createModel", "model", {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}),
        ("createEndpointConfig", "endpoint-config", {"ProductionVariants": [variant(name)]}),
        ("createEndpoint", "endpoint", {"EndpointConfigName": name}),
        ("updateEndpoint", "endpoint", {"EndpointConfigName": aws.endpoint_config("two")}),
    ]
    for action, kind, parameters in steps:
        noun = kind.title().replace("-", "")
        outcome = aws.run(f"arn:aws:states:::sagemaker:{action}", {f"{noun}Name": name, **parameters})
        assert answered(outcome) == {f"{noun}Arn": f"{ARN}:{kind}/{name}"}
        if kind == "endpoint":
            aws.settled(name)
    assert aws.invoke(name, "x") == "two:x"
    _, _, found = aws.run("arn:aws:states:::aws-sdk:sagemaker:describeEndpoint", {"EndpointName": name})
    assert (found["EndpointStatus"], found["CreationTime"][-1]) == ("InService", "Z")


@pytest.mark.parametrize(
    ("end", "expected"),
    [("stopped", ("ABORTED", "")), ("task timed out", ("FAILED", "States.Timeout")), ("timed out", ("TIMED_OUT", ""))],
)
def test_the_end_of_an_execution_or_task_stops_its_job(aws: Aws, end: str, expected: tuple[str, str]) -> None:
    request = aws.training_request(action="hang")
    retry = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    task = {"Type": "Task", "Resource": SYNC, "Parameters": request, "Retry": retry, "End": True}
    task["TimeoutSeconds"] = 4 if end == "task timed out" else 60
    execution = aws.begin(aws.machine(Task=task, **({"TimeoutSeconds": 4} if end == "timed out" else {})))
    if end == "stopped":
        jobs = {"NameContains": request["TrainingJobName"], "StatusEquals": "InProgress"}
        until(lambda: aws.sagemaker.list_training_jobs(**jobs)["TrainingJobSummaries"])
        aws.states.stop_execution(executionArn=execution)
    assert aws.outcome(execution) == (*expected, "")
    assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"
    assert aws.outcome(execution) == (*expected, "")
    history = aws.states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=100)["events"]
    assert ("ExecutionTimedOut" in [event["type"] for event in history]) == (end == "timed out")


def test_an_object_is_read_as_text(aws: Aws) -> None:
    aws.put("text/evaluation.json", '{"auc": 0.99, "name": "ä"}')
    status, _, found = aws.run(S3_GET, {"Bucket": aws.bucket, "Key": "text/evaluation.json"})
    assert (status, json.loads(found["Body"])) == ("SUCCEEDED", {"auc": 0.99, "name": "ä"})
    assert (found["ContentLength"], found["LastModified"][-1]) == (27, "Z")
    assert aws.run(S3_GET, {"Bucket": aws.bucket, "Key": "no"})[:2] == ("FAILED", "S3.NoSuchKeyException")


def test_a_result_over_256_kib_fails_the_task_and_is_caught_by_states_all(aws: Aws) -> None:
    aws.put("text/large", "7" * 262_145)
    get = {"Type": "Task", "Resource": S3_GET, "Parameters": {"Bucket": aws.bucket, "Key": "text/large"}, "End": True}
    assert aws.outcome(aws.begin(aws.machine(Get=get)))[1] == "States.DataLimitExceeded"
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]
    status, _, caught = aws.outcome(aws.begin(aws.machine(Get={**get, "Catch": catch}, Done=DONE)))
    assert (status, caught["Error"]) == ("SUCCEEDED", "States.DataLimitExceeded")


def test_a_message_without_a_body_is_refused_by_the_queue(aws: Aws) -> None:
    url = aws.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"]
    outcome = aws.run("arn:aws:states:::sqs:sendMessage", {"QueueUrl": url, "MessageBody": None})
    assert outcome[:2] == ("FAILED", "SQS.AmazonSQSException")
    assert "The request must contain the parameter MessageBody. (Service: AmazonSQS; Status Code: 400;" in outcome[2]


@pytest.mark.drill("race", "StartExecution twice with one name", "one execution")
def test_a_start_repeated_while_it_runs_returns_the_same_execution(aws: Aws) -> None:
    start = {"stateMachineArn": aws.machine(Wait=WAIT), "name": "once", "input": '{"a": 1}'}
    first, again = aws.states.start_execution(**start), aws.states.start_execution(**start)
    assert (first["executionArn"], first["startDate"]) == (again["executionArn"], again["startDate"])
    with pytest.raises(aws.states.exceptions.ExecutionAlreadyExists):
        aws.states.start_execution(**start | {"input": '{"a": 2}'})
    aws.states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(aws.states.exceptions.ExecutionAlreadyExists):
        aws.states.start_execution(**start)


def test_a_payload_over_256_kib_ends_the_execution_and_is_not_caught(aws: Aws) -> None:
    aws.put("text/half", "7" * 200_000)
    large = {"Type": "Pass", "Parameters": {"all.$": "States.Array($, $, $)"}}
    branch = {"StartAt": "Large", "States": {"Large": {**large, "End": True}}}
    catch, half = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}], {"Bucket": aws.bucket, "Key": "text/half"}
    get = {"Type": "Task", "Resource": S3_GET, "Parameters": half, "Catch": catch, "ResultPath": "$.body"}
    for states in (
        {"Large": {**large, "Next": "Done"}, "Done": DONE},
        {"Both": {"Type": "Parallel", "Branches": [branch], "End": True}},
        {"Get": {**get, "Next": "Done"}, "Done": DONE},
    ):
        arn = aws.machine(**states)
        assert aws.outcome(aws.begin(arn, {"text": "x" * 100_000}))[:2] == ("FAILED", "States.DataLimitExceeded")
    with pytest.raises(aws.states.exceptions.ClientError, match="262144"):
        aws.begin(arn, "x" * 262_143)


def test_a_definition_with_a_dangling_next_is_refused(aws: Aws) -> None:
    with pytest.raises(aws.states.exceptions.InvalidDefinition, match='No state found named "Nowhere"'):
        aws.machine(Pass={"Type": "Pass", "Next": "Nowhere"}, Done=DONE)
    arn = aws.machine(Done=DONE)
    with pytest.raises(aws.states.exceptions.InvalidDefinition, match="SCHEMA_VALIDATION_FAILED"):
        aws.states.update_state_machine(stateMachineArn=arn, definition="[]")
    assert json.loads(aws.states.describe_state_machine(stateMachineArn=arn)["definition"])["StartAt"] == "Done"


@pytest.mark.parametrize("version", ["", ":2"])
def test_a_nested_execution_returns_its_description(aws: Aws, version: str) -> None:
    child = aws.machine(Done=DONE)
    parent = nest(aws, child, resource=NESTED.removesuffix(":2") + version)
    status, _, document = aws.outcome(parent)
    assert status == "SUCCEEDED"
    value = {"word": "x", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": parent}
    (found,) = executions(aws, child)
    assert document == {
        "ExecutionArn": found["executionArn"],
        "StateMachineArn": child,
        "Name": parent.rpartition(":")[2],
        "Status": "SUCCEEDED",
        "StartDate": round(found["startDate"].timestamp() * 1000),
        "StopDate": round(found["stopDate"].timestamp() * 1000),
        **{part: value if version else json.dumps(value, separators=(",", ":")) for part in ("Input", "Output")},
        **{f"{part}Details": {"Included": True} for part in ("Input", "Output")},
    }
    history = aws.states.get_execution_history(executionArn=found["executionArn"])["events"]
    assert [event["type"] for event in history][-1] == "ExecutionSucceeded"


def test_a_nested_execution_without_sync_returns_at_once(aws: Aws) -> None:
    child = aws.machine(Wait=WAIT)
    document = answered(aws.outcome(nest(aws, child, resource=NESTED.removesuffix(".sync:2"))))
    (found,) = executions(aws, child)
    started = round(found["startDate"].timestamp() * 1000)
    assert document == {"ExecutionArn": found["executionArn"], "StartDate": started}
    aws.states.stop_execution(executionArn=found["executionArn"])


def test_a_nested_execution_that_fails_fails_the_task_with_its_description(aws: Aws) -> None:
    child = aws.machine(Failed={"Type": "Fail", "Error": "Broken", "Cause": "because"})
    status, error, cause = aws.outcome(nest(aws, child))
    document = json.loads(cause)
    assert (status, error) == ("FAILED", "States.TaskFailed")
    assert (document["Status"], document["Error"], document["Cause"]) == ("FAILED", "Broken", "because")
    assert document["ExecutionArn"] == executions(aws, child)[0]["executionArn"]
    assert "Output" not in document


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("stopped", ("ABORTED", "Stop")),
        ("timed out", ("TIMED_OUT", "")),
        ("task timed out", ("FAILED", "States.Timeout")),
        ("child stopped", ("FAILED", "States.TaskFailed")),
        ("child timed out", ("FAILED", "States.TaskFailed")),
    ],
)
def test_a_nested_execution_and_its_parent_end_together(aws: Aws, end: str, expected: tuple[str, str]) -> None:
    def seconds(timed_out: str) -> dict[str, Any]:
        return {"TimeoutSeconds": 4} if end == timed_out else {}

    child = aws.machine(Wait=WAIT, **seconds("child timed out"))
    retry = [{"ErrorEquals": ["States.Runtime"], "MaxAttempts": 3}]
    task = {"Type": "Task", "Resource": NESTED, "Parameters": {"StateMachineArn": child}, "Retry": retry, "End": True}
    parent = aws.begin(aws.machine(Task=task | seconds("task timed out"), **seconds("timed out")))
    inner = executions(aws, child)[0]["executionArn"]
    if end.endswith("stopped"):
        aws.states.stop_execution(executionArn=inner if end == "child stopped" else parent, error="Stop")
    *found, cause = aws.outcome(parent)
    assert tuple(found) == expected
    status = "TIMED_OUT" if end == "child timed out" else "ABORTED"
    assert aws.outcome(inner)[0] == status
    assert not end.startswith("child") or json.loads(cause)["Status"] == status
    assert len(executions(aws, child)) == 1


def test_each_execution_of_a_definition_retries_as_often(aws: Aws) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1, "BackoffRate": 1.0}]
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:headBucket", "Parameters": {"Bucket": "none"}}
    machine = aws.machine(Task={**task, "Retry": retry, "End": True})
    attempts = []
    for _ in range(2):
        execution = aws.begin(machine)
        assert aws.outcome(execution)[0] == "FAILED"
        events = aws.states.get_execution_history(executionArn=execution)["events"]
        attempts.append(sum(event["type"] == "TaskScheduled" for event in events))
    assert attempts == [3, 3]


def test_a_stopped_execution_retries_nothing(aws: Aws) -> None:
    child = aws.machine(Failed={"Type": "Fail"})
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 10, "MaxAttempts": 5, "BackoffRate": 1.0}]
    parent = aws.execute(NESTED, {"StateMachineArn": child}, Retry=retry)
    aws.outcome(executions(aws, child)[0]["executionArn"])
    aws.states.stop_execution(executionArn=parent)
    threading.Event().wait(1.5)  # the retry is due after 1 s
    assert len(executions(aws, child)) == 1


def test_a_lambda_that_fails_is_named_by_its_exception_and_keeps_its_process(aws: Aws) -> None:
    arn = aws.function("raise LeaseHeld(f'{os.getpid()}\\n')")
    causes = []
    for resource in ("lambda:invoke", "lambda:invoke", "lambda:invoke.waitForTaskToken"):
        status, error, cause = aws.run(f"arn:aws:states:::{resource}", {"FunctionName": arn, "Payload": {}})
        assert (status, error) == ("FAILED", "LeaseHeld")
        causes.append(json.loads(cause))
    assert len({cause["errorMessage"] for cause in causes}) == 1
    assert "raise LeaseHeld" in causes[0]["stackTrace"][-1]


def test_a_task_waits_for_its_token(aws: Aws) -> None:
    arn = aws.function("boto3.client('stepfunctions').send_task_success(taskToken=event['token'], output='7')")
    parameters = {"FunctionName": arn, "Payload": {"token.$": "$$.Task.Token"}}
    assert aws.run("arn:aws:states:::lambda:invoke.waitForTaskToken", parameters) == ("SUCCEEDED", "", 7)


def test_a_worker_does_the_task_of_an_activity(aws: Aws) -> None:
    activity = aws.states.create_activity(name=unique("activity"))["activityArn"]
    execution = aws.begin(aws.machine(Work={"Type": "Task", "Resource": activity, "End": True}), {"a": 1})
    task = aws.states.get_activity_task(activityArn=activity, workerName="someone")
    assert json.loads(task["input"]) == {"a": 1}
    aws.states.send_task_success(taskToken=task["taskToken"], output="7")
    assert aws.outcome(execution) == ("SUCCEEDED", "", 7)
    events = aws.states.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events][2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]
    assert events[3]["activityStartedEventDetails"] == {"workerName": "someone"}
    aws.states.delete_activity(activityArn=activity)
    again = aws.begin(aws.machine(Work={"Type": "Task", "Resource": activity, "End": True}))
    assert aws.outcome(again)[:2] == ("FAILED", "States.Runtime")


def test_the_task_of_an_activity_that_no_worker_takes_times_out(aws: Aws) -> None:
    activity = aws.states.create_activity(name=unique("activity"))["activityArn"]
    work = {"Type": "Task", "Resource": activity, "TimeoutSeconds": 1, "End": True}
    execution = aws.begin(aws.machine(Work=work))
    assert aws.outcome(execution)[:2] == ("FAILED", "States.Timeout")
    events = aws.states.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events][2:] == ["ActivityScheduled", "ActivityTimedOut", "ExecutionFailed"]


@pytest.mark.parametrize("status", ["ABORTED", "SUCCEEDED"])
def test_a_rule_invokes_a_lambda_with_the_end_of_a_nested_execution(aws: Aws, status: str) -> None:
    child, key = aws.machine(Wait=WAIT if status == "ABORTED" else DONE), unique("events")
    arn = aws.function(f"boto3.client('s3').put_object(Bucket='{aws.bucket}', Key='{key}', Body=json.dumps(event))")
    events, rule = aws.client("events"), unique("rule")
    detail = {"stateMachineArn": [child], "status": ["SUCCEEDED", "ABORTED"]}
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.states"], "detail": detail}))
    events.put_targets(Rule=rule, Targets=[{"Id": "finish", "Arn": arn}])
    parent = nest(aws, child)
    if status == "ABORTED":
        executions(aws, child)
        aws.states.stop_execution(executionArn=parent)
    until(lambda: aws.keys(key))
    assert json.loads(aws.read(key))["detail"]["status"] == status


def test_a_nested_execution_needs_no_more_than_step_functions_documents(aws: Aws) -> None:
    child = aws.machine(Done=DONE)
    arn, name = "us-east-1:123456789012", child.rpartition(":")[2]
    rule = f"arn:aws:events:{arn}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    grants = {
        child: ["states:StartExecution"],
        f"arn:aws:states:{arn}:execution:{name}:*": ["states:DescribeExecution", "states:StopExecution"],
        rule: ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    }
    allow = [{"Effect": "Allow", "Action": actions, "Resource": resource} for resource, actions in grants.items()]
    assert aws.outcome(nest(aws, child, role=aws.role(unique("role"), ["states"], *allow)))[0] == "SUCCEEDED"


def test_a_condition_on_the_namespace_of_metrics_holds(aws: Aws) -> None:
    own = {"Condition": {"StringEquals": {"cloudwatch:namespace": "own"}}}
    role = aws.role(unique("role"), ["states"], EVERYTHING | {"Action": "cloudwatch:PutMetricData", **own})
    put, data = "arn:aws:states:::aws-sdk:cloudwatch:putMetricData", [{"MetricName": "x", "Value": 1}]
    found = [aws.run(put, {"Namespace": name, "MetricData": data}, role)[0] for name in ("own", "other")]
    assert found == ["SUCCEEDED", "FAILED"]


def test_a_fault_of_the_interpreter_ends_the_execution() -> None:
    arn = "arn:aws:states:eu-west-1:123456789012:execution:m:one"
    execution = {"executionArn": arn, "stateMachineArn": "m", "name": "one", "startDate": "", "events": []}
    execution |= {"input": "{}", "status": "RUNNING"}
    machine = {"stateMachineArn": "m", "name": "m", "roleArn": ROLE, "definition": "{}"}  # none that AWS would take
    announced: list[Any] = []
    Executions({arn: execution}, {"m": machine}, {}, announced.append).run(pytest.fail, arn)
    assert announced == [execution]
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")
    assert str(execution["cause"]).startswith("The local Step Functions failed: ")
