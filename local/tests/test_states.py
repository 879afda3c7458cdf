"""Step Functions' tasks against the local SageMaker."""

import json
import threading
from typing import Any

import pytest

from .aws import ROLE, Aws, unique, until

pytestmark = pytest.mark.cloud
SYNC = "arn:aws:states:::sagemaker:createTrainingJob.sync"


def machine(aws: Aws, role: str = ROLE, **states: Any) -> str:
    """A machine of these states, the first of which begins; `TimeoutSeconds` may be among them."""
    seconds = {"TimeoutSeconds": states.pop("TimeoutSeconds")} if "TimeoutSeconds" in states else {}
    definition = {"StartAt": next(iter(states)), "States": states, **seconds}
    made = aws.states.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=role)
    return str(made["stateMachineArn"])


def execute(aws: Aws, task: dict[str, Any], value: Any = None, role: str = ROLE) -> str:
    """Start a machine of one task; the execution's ARN."""
    arn = machine(aws, role, Task={"Type": "Task", "End": True, **task})
    return str(aws.states.start_execution(stateMachineArn=arn, input=json.dumps(value or {}))["executionArn"])


def outcome(aws: Aws, execution: str) -> tuple[str, str, Any]:
    """Status, error, and the output or cause, once it has ended."""

    def ended() -> dict[str, Any] | None:
        found = aws.states.describe_execution(executionArn=execution)
        return dict(found) if found["status"] != "RUNNING" else None

    found = until(ended)
    if found["status"] == "SUCCEEDED":
        return "SUCCEEDED", "", json.loads(found["output"])
    return found["status"], found.get("error", ""), found.get("cause", "")


def run(aws: Aws, resource: str, parameters: dict[str, Any]) -> tuple[str, str, Any]:
    return outcome(aws, execute(aws, {"Resource": resource, "Parameters": parameters}))


def test_sync_returns_the_description_with_times_in_milliseconds(aws: Aws) -> None:
    request = aws.training_request(label="x") | {"Tags": [{"Key": "mine", "Value": "1"}]}
    status, _, job = run(aws, SYNC, request)
    assert (status, job["TrainingJobStatus"]) == ("SUCCEEDED", "Completed")
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"{request['TrainingJobName']}/output/model.tar.gz")
    described = aws.sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])
    assert job["CreationTime"] == round(described["CreationTime"].timestamp() * 1000)
    tags = {tag["Key"]: tag["Value"] for tag in aws.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]}
    assert tags.pop("AWS_STEP_FUNCTIONS_EXECUTION_ARN").startswith("arn:aws:states:us-east-1:123456789012:execution:")
    assert tags == {"mine": "1", "MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS"}


def test_without_sync_the_task_returns_at_once(aws: Aws) -> None:
    request = aws.training_request(action="hang")
    name = request["TrainingJobName"]
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    assert run(aws, SYNC.removesuffix(".sync"), request) == ("SUCCEEDED", "", {"TrainingJobArn": arn})
    aws.sagemaker.stop_training_job(TrainingJobName=name)


@pytest.mark.parametrize("action", ["fail", "hang"], ids=["failed", "stopped by its maximum runtime"])
def test_a_job_without_success_fails_the_task_with_its_description(aws: Aws, action: str) -> None:
    request = aws.training_request(action=action) | {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    status, error, cause = run(aws, SYNC, request)
    assert (status, error) == ("FAILED", "States.TaskFailed")
    job = json.loads(cause)
    expected = ("Failed", "Failed") if action == "fail" else ("Stopped", "MaxRuntimeExceeded")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == expected


@pytest.mark.parametrize(
    ("change", "error", "cause"),
    [
        (
            {"TrainingJobName": "a_b"},
            "SageMaker.AmazonSageMakerException",
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62} (Service: AmazonSageMaker; Status "
            "Code: 400; Error Code: ValidationException; Request ID: ",
        ),
        ({"Whim": 1}, "States.Runtime", "The Parameters '{"),
    ],
)
def test_a_refused_request_fails_the_task_in_the_integrations_words(
    aws: Aws, change: dict[str, Any], error: str, cause: str
) -> None:
    status, found, text = run(aws, SYNC, aws.training_request() | change)
    assert (status, found) == ("FAILED", error)
    assert text.startswith(cause)


def test_a_used_name_has_its_own_error(aws: Aws) -> None:
    name = aws.train()
    _, error, _ = run(aws, SYNC, aws.training_request() | {"TrainingJobName": name})
    assert error == "SageMaker.ResourceInUseException"


def test_sdk_integrations_have_the_sdks_names_and_times(aws: Aws) -> None:
    sdk = "arn:aws:states:::aws-sdk:sagemaker:"
    name = aws.endpoint("one")
    _, _, found = run(aws, f"{sdk}describeEndpoint", {"EndpointName": name})
    assert found["EndpointStatus"] == "InService"
    assert found["CreationTime"].endswith("Z")
    missing = 'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/no".'
    assert run(aws, f"{sdk}describeEndpoint", {"EndpointName": "no"}) == (
        "FAILED",
        "SageMaker.SageMakerException",
        missing,
    )
    request = aws.training_request() | {"TrainingJobName": aws.train()}
    assert run(aws, f"{sdk}createTrainingJob", request)[1] == "SageMaker.ResourceInUseException"


def test_an_endpoint_is_made_and_changed_by_tasks(aws: Aws) -> None:
    name = unique("endpoint")
    container = aws.sagemaker.describe_model(ModelName=aws.model("one"))["PrimaryContainer"]
    variant = {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.t2.medium"}
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("createModel", "Model", {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}),
        ("createEndpointConfig", "EndpointConfig", {"ProductionVariants": [variant]}),
        ("createEndpoint", "Endpoint", {"EndpointConfigName": name}),
        ("updateEndpoint", "Endpoint", {"EndpointConfigName": aws.endpoint_config("two")}),
    ]
    for action, noun, parameters in steps:
        kind = "endpoint-config" if noun == "EndpointConfig" else noun.lower()
        expected = {f"{noun}Arn": f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"}
        resource = f"arn:aws:states:::sagemaker:{action}"
        assert run(aws, resource, {f"{noun}Name": name, **parameters}) == ("SUCCEEDED", "", expected)
        if noun == "Endpoint":
            aws.settled(name)
    assert aws.invoke(name, "x") == "two:x"


@pytest.mark.parametrize("action", ["createHyperParameterTuningJob.sync", "createModel.sync", "createLabelingJob"])
def test_an_unknown_task_is_refused_with_the_known_ones(aws: Aws, action: str) -> None:
    resource = f"arn:aws:states:::sagemaker:{action}"
    assert run(aws, resource, {}) == (
        "FAILED",
        "States.Runtime",
        f"{resource} does not run locally. Known are: createProcessingJob[.sync], createTrainingJob[.sync], "
        "createTransformJob[.sync], createEndpoint, createEndpointConfig, createModel, updateEndpoint.",
    )


def job_status(aws: Aws, name: str) -> str:
    try:
        return str(aws.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"])
    except aws.sagemaker.exceptions.ClientError:
        return ""


def test_stopping_an_execution_stops_its_job_and_stays_aborted(aws: Aws) -> None:
    request = aws.training_request(action="hang")
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    execution = execute(aws, {"Resource": SYNC, "Parameters": request, "Retry": retry, "TimeoutSeconds": 60})
    until(lambda: job_status(aws, request["TrainingJobName"]) == "InProgress" or None)
    aws.states.stop_execution(executionArn=execution)
    assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"
    assert outcome(aws, execution)[0] == "ABORTED"


def test_a_task_above_its_timeout_stops_its_job(aws: Aws) -> None:
    request = aws.training_request(action="hang")
    execution = execute(aws, {"Resource": SYNC, "Parameters": request, "TimeoutSeconds": 1})
    assert outcome(aws, execution) == ("FAILED", "States.Timeout", "Task timed out after 1 seconds")
    assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_an_object_is_read_as_text(aws: Aws) -> None:
    resource = "arn:aws:states:::aws-sdk:s3:getObject"
    aws.put("text/evaluation.json", '{"auc": 0.99, "name": "ä"}')
    status, _, found = run(aws, resource, {"Bucket": aws.bucket, "Key": "text/evaluation.json"})
    assert status == "SUCCEEDED"
    assert json.loads(found["Body"]) == {"auc": 0.99, "name": "ä"}
    assert found["ContentLength"] == 27
    assert found["LastModified"].endswith("Z")
    assert run(aws, resource, {"Bucket": aws.bucket, "Key": "no"})[:2] == ("FAILED", "S3.NoSuchKeyException")
    assert run(aws, resource, {"Bucket": "no-such-bucket", "Key": "k"})[:2] == ("FAILED", "S3.NoSuchBucketException")
    aws.put("text/large", "7" * 262_145)
    assert run(aws, resource, {"Bucket": aws.bucket, "Key": "text/large"})[1] == "States.DataLimitExceeded"


def test_a_machines_timeout_ends_the_execution_and_its_job(aws: Aws) -> None:
    request = aws.training_request(action="hang")
    task = {"Type": "Task", "Resource": SYNC, "Parameters": request, "TimeoutSeconds": 60, "End": True}
    arn = machine(aws, Task=task, TimeoutSeconds=1)
    execution = aws.states.start_execution(stateMachineArn=arn)["executionArn"]
    assert outcome(aws, execution) == ("TIMED_OUT", "", "")
    assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"
    assert outcome(aws, execution) == ("TIMED_OUT", "", "")
    history = aws.states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=100)["events"]
    assert "ExecutionTimedOut" in [event["type"] for event in history]


def test_a_start_repeated_while_it_runs_answers_the_same(aws: Aws) -> None:
    arn = machine(aws, Wait={"Type": "Wait", "Seconds": 1000, "End": True})
    start = {"stateMachineArn": arn, "name": "once", "input": '{"a": 1}'}
    first, again = aws.states.start_execution(**start), aws.states.start_execution(**start)
    assert (first["executionArn"], first["startDate"]) == (again["executionArn"], again["startDate"])
    with pytest.raises(aws.states.exceptions.ExecutionAlreadyExists):
        aws.states.start_execution(**start | {"input": '{"a": 2}'})
    aws.states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(aws.states.exceptions.ExecutionAlreadyExists):
        aws.states.start_execution(**start)


def test_a_payload_over_256_kib_ends_the_execution_whatever_is_caught(aws: Aws) -> None:
    large = {"Type": "Pass", "Parameters": {"all.$": "States.Array($, $, $)"}}
    caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]}
    branch = {"StartAt": "Large", "States": {"Large": {**large, "End": True}}}
    both = {"Type": "Parallel", "Branches": [branch], "End": True}
    for first in ({"Large": {**large, "Next": "Done"}, "Done": {"Type": "Succeed"}}, {"Both": both}):
        arn = machine(aws, **first)
        value = json.dumps({"text": "x" * 100_000})
        execution = aws.states.start_execution(stateMachineArn=arn, input=value)["executionArn"]
        assert outcome(aws, execution)[:2] == ("FAILED", "States.DataLimitExceeded")
    aws.put("text/half", "7" * 200_000)
    get = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        **caught,
        "Next": "Done",
        "Parameters": {"Bucket": aws.bucket, "Key": "text/half"},
        "ResultPath": "$.body",
    }
    arn = machine(aws, Get=get, Done={"Type": "Succeed"})
    execution = aws.states.start_execution(stateMachineArn=arn, input=value)["executionArn"]
    assert outcome(aws, execution)[:2] == ("FAILED", "States.DataLimitExceeded")
    with pytest.raises(aws.states.exceptions.ClientError, match="262144"):
        aws.states.start_execution(stateMachineArn=arn, input=json.dumps("x" * 262_143))


def test_a_definition_with_a_dangling_next_is_refused(aws: Aws) -> None:
    with pytest.raises(aws.states.exceptions.InvalidDefinition, match='No state found named "Nowhere"'):
        machine(aws, Pass={"Type": "Pass", "Next": "Nowhere"}, Done={"Type": "Succeed"})
    arn = machine(aws, Done={"Type": "Succeed"})
    with pytest.raises(aws.states.exceptions.InvalidDefinition, match="SCHEMA_VALIDATION_FAILED"):
        aws.states.update_state_machine(stateMachineArn=arn, definition="[]")
    assert json.loads(aws.states.describe_state_machine(stateMachineArn=arn)["definition"])["StartAt"] == "Done"


NESTED = "arn:aws:states:::states:startExecution.sync:2"
WAIT = {"Type": "Wait", "Seconds": 100_000, "End": True}


def nest(aws: Aws, child: str, role: str = ROLE, resource: str = NESTED, **task: Any) -> str:
    """Start an execution whose task runs the machine `child`; the execution's ARN."""
    parameters = {
        "StateMachineArn": child,
        "Name.$": "$$.Execution.Name",
        "Input": {"word": "x", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id"},
    }
    return execute(aws, {"Resource": resource, "Parameters": parameters, **task}, role=role)


def child_of(aws: Aws, machine_arn: str) -> dict[str, Any]:
    """The only execution of a machine, once it has begun."""
    listed = aws.states.list_executions
    return dict(until(lambda: next(iter(listed(stateMachineArn=machine_arn)["executions"]), None)))


@pytest.mark.parametrize("version", ["", ":2"])
def test_a_nested_execution_returns_its_description(aws: Aws, version: str) -> None:
    child = machine(aws, Done={"Type": "Pass", "End": True})
    parent = nest(aws, child, resource=NESTED.removesuffix(":2") + version)
    status, _, document = outcome(aws, parent)
    assert status == "SUCCEEDED"
    value = {"word": "x", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": parent}
    found = child_of(aws, child)
    started, stopped = (round(found[name].timestamp() * 1000) for name in ("startDate", "stopDate"))
    assert document.pop("Input") == (value if version else json.dumps(value))
    assert document.pop("Output") == (value if version else json.dumps(value))
    assert document == {
        "ExecutionArn": found["executionArn"],
        "StateMachineArn": child,
        "Name": parent.rpartition(":")[2],
        "Status": "SUCCEEDED",
        "StartDate": started,
        "StopDate": stopped,
        "InputDetails": {"Included": True},
        "OutputDetails": {"Included": True},
    }
    history = aws.states.get_execution_history(executionArn=found["executionArn"])["events"]
    assert [event["type"] for event in history][-1] == "ExecutionSucceeded"


def test_a_nested_execution_without_sync_returns_at_once(aws: Aws) -> None:
    child = machine(aws, Wait=WAIT)
    status, _, document = outcome(aws, nest(aws, child, resource=NESTED.removesuffix(".sync:2")))
    found = child_of(aws, child)
    started = round(found["startDate"].timestamp() * 1000)
    assert (status, document) == ("SUCCEEDED", {"ExecutionArn": found["executionArn"], "StartDate": started})
    aws.states.stop_execution(executionArn=found["executionArn"])


def test_a_nested_execution_that_fails_fails_the_task_with_its_description(aws: Aws) -> None:
    child = machine(aws, Failed={"Type": "Fail", "Error": "Broken", "Cause": "because"})
    status, error, cause = outcome(aws, nest(aws, child))
    document = json.loads(cause)
    assert (status, error) == ("FAILED", "States.TaskFailed")
    assert (document["Status"], document["Error"], document["Cause"]) == ("FAILED", "Broken", "because")
    assert document["ExecutionArn"] == child_of(aws, child)["executionArn"]
    assert "Output" not in document


@pytest.mark.parametrize("end", ["stopped", "timed out", "task timed out", "child stopped", "child timed out"])
def test_a_nested_execution_ends_with_its_parent_and_the_parent_with_it(aws: Aws, end: str) -> None:
    seconds: dict[str, Any] = {"TimeoutSeconds": 1}
    child = machine(aws, Wait=WAIT, **(seconds if end == "child timed out" else {}))
    task = {
        "Type": "Task",
        "Resource": NESTED,
        "Parameters": {"StateMachineArn": child},
        "Retry": [{"ErrorEquals": ["States.Runtime"], "MaxAttempts": 3}],
        "End": True,
        **(seconds if end == "task timed out" else {}),
    }
    outer = machine(aws, Task=task, **(seconds if end == "timed out" else {}))
    parent = aws.states.start_execution(stateMachineArn=outer)["executionArn"]
    inner = child_of(aws, child)["executionArn"]
    if end.endswith("stopped"):
        aws.states.stop_execution(executionArn=inner if end == "child stopped" else parent, error="Stop")
    status, error, cause = outcome(aws, parent)
    expected = {
        "stopped": ("ABORTED", "Stop"),
        "timed out": ("TIMED_OUT", ""),
        "task timed out": ("FAILED", "States.Timeout"),
    }
    assert (status, error) == expected.get(end, ("FAILED", "States.TaskFailed"))
    found = "TIMED_OUT" if end == "child timed out" else "ABORTED"
    assert outcome(aws, inner)[0] == found
    if end.startswith("child"):
        assert json.loads(cause)["Status"] == found
    assert len(aws.states.list_executions(stateMachineArn=child)["executions"]) == 1


def test_a_nested_execution_that_cannot_start_fails_the_task(aws: Aws) -> None:
    missing = "arn:aws:states:us-east-1:123456789012:stateMachine:none"
    assert outcome(aws, nest(aws, missing))[1] == "StepFunctions.StateMachineDoesNotExistException"


def test_a_stopped_execution_retries_nothing(aws: Aws) -> None:
    child = machine(aws, Failed={"Type": "Fail"})
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 10, "MaxAttempts": 5, "BackoffRate": 1.0}]
    parent = execute(aws, {"Resource": NESTED, "Parameters": {"StateMachineArn": child}, "Retry": retry})
    outcome(aws, child_of(aws, child)["executionArn"])
    aws.states.stop_execution(executionArn=parent)
    threading.Event().wait(1.5)  # the retry is due after 1 s
    assert len(aws.states.list_executions(stateMachineArn=child)["executions"]) == 1


def test_a_lambda_that_fails_is_named_by_its_exception_and_keeps_its_process(aws: Aws) -> None:
    arn = aws.function("raise LeaseHeld(f'{os.getpid()}\\n')")
    causes = []
    for resource in ("lambda:invoke", "lambda:invoke", "lambda:invoke.waitForTaskToken"):
        parameters = {"FunctionName": arn, "Payload": {}}
        status, error, cause = run(aws, f"arn:aws:states:::{resource}", parameters)
        assert (status, error) == ("FAILED", "LeaseHeld")
        causes.append(json.loads(cause))
    assert len({cause["errorMessage"] for cause in causes}) == 1
    assert "raise LeaseHeld" in causes[0]["stackTrace"][-1]


def test_a_task_waits_for_its_token(aws: Aws) -> None:
    arn = aws.function(
        "client = boto3.client('stepfunctions')", "client.send_task_success(taskToken=event['token'], output='7')"
    )
    parameters = {"FunctionName": arn, "Payload": {"token.$": "$$.Task.Token"}}
    assert run(aws, "arn:aws:states:::lambda:invoke.waitForTaskToken", parameters) == ("SUCCEEDED", "", 7)


@pytest.mark.parametrize("stop", [True, False])
def test_a_rule_hands_the_end_of_a_nested_execution_to_a_lambda(aws: Aws, stop: bool) -> None:
    child, key = machine(aws, Wait=WAIT if stop else {"Type": "Pass", "End": True}), unique("events")
    arn = aws.function(f"boto3.client('s3').put_object(Bucket='{aws.bucket}', Key='{key}', Body=json.dumps(event))")
    events, rule = aws.client("events"), unique("rule")
    detail = {"stateMachineArn": [child], "status": ["SUCCEEDED", "ABORTED"]}
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.states"], "detail": detail}))
    events.put_targets(Rule=rule, Targets=[{"Id": "finish", "Arn": arn}])
    parent = nest(aws, child)
    if stop:
        child_of(aws, child)
        aws.states.stop_execution(executionArn=parent)
    until(lambda: aws.keys(key) or None)
    assert json.loads(aws.read(key))["detail"]["status"] == ("ABORTED" if stop else "SUCCEEDED")


def test_a_nested_execution_needs_no_more_than_step_functions_documents(aws: Aws) -> None:
    child = machine(aws, Done={"Type": "Pass", "End": True})
    arn, name = "us-east-1:123456789012", child.rpartition(":")[2]
    rule = f"arn:aws:events:{arn}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    grants = {
        child: ["states:StartExecution"],
        f"arn:aws:states:{arn}:execution:{name}:*": ["states:DescribeExecution", "states:StopExecution"],
        rule: ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    }
    allow = [{"Effect": "Allow", "Action": actions, "Resource": resource} for resource, actions in grants.items()]
    assert outcome(aws, nest(aws, child, role=aws.role(unique("role"), ["states"], *allow)))[0] == "SUCCEEDED"
