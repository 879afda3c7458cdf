"""State over a restart: what the services knew is there again, and what ran has ended as it does on AWS."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_aws import state
from local_aws.cloud import find, launch, stop
from local_aws.command import main
from local_aws.sagemaker.hosting.endpoint import UNDONE
from local_aws.sagemaker.jobs.job import LOST

from .aws import ARN, NESTED, SYNC, Aws, alarm_request, images, unique, until
from .test_rollout import deployment, percent, variant_status

pytestmark = pytest.mark.cloud
ENDED = "The local AWS ended while this execution ran."
Document = dict[str, Any]
Record = Callable[[str, object], None]


class Machine:
    """A home folder, and the local AWS in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"

    def start(self) -> Aws:
        own = {"SAGEMAKER_IMAGES": str(images(self.folder)), "SAGEMAKER_GRACE_SECONDS": "1", "SFN_WAIT_SCALE": "0.1"}
        cloud, self.process = launch(0, self.home, owned=True, keep=True, environment=own)
        return Aws(cloud)

    def stop(self) -> None:
        stop(self.home)
        self.process.communicate()

    def kill(self, *words: str) -> None:
        """Kill -9 once the words are in the file."""
        self.has_kept(*words)
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        until(lambda: find(self.home) is None)

    def has_kept(self, *words: str) -> None:
        """Wait until the words are in the file."""
        until(lambda: state.path(self.home).exists() and all(each in self.text() for each in words))

    def text(self) -> str:
        return state.path(self.home).read_text()

    def log(self) -> str:
        return (self.home / "aws.log").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def everything(aws: Aws, made: dict[str, str]) -> dict[str, Any]:
    """What the services say of what `fill` made."""
    dynamodb, alarms, scaling = map(aws.client, ("dynamodb", "cloudwatch", "application-autoscaling"))
    s3, sagemaker, states = aws.s3, aws.sagemaker, aws.states
    named = {"endpoint": made["endpoint"], "config": made["endpoint"], "model": made["model"]}
    target = {"ServiceNamespace": "sagemaker"}
    calls: dict[str, Callable[[], Document]] = {
        "versions": lambda: s3.list_object_versions(Bucket=aws.bucket, Prefix="kept/"),
        "bucket": lambda: s3.get_bucket_tagging(Bucket=aws.bucket),
        "item": lambda: dynamodb.get_item(TableName="table", Key={"id": {"S": "1"}}),
        "table": lambda: dynamodb.describe_table(TableName="table"),
        "role": lambda: aws.client("iam").get_role(RoleName="anyone"),
        "rules": lambda: aws.client("events").list_targets_by_rule(Rule="rule"),
        "alarm": lambda: alarms.describe_alarms(AlarmNames=["alarm"]),
        "stack": lambda: aws.client("cloudformation").describe_stack_resources(StackName="stack"),
        "machine": lambda: states.describe_state_machine(stateMachineArn=made["machine"]),
        "execution": lambda: states.describe_execution(executionArn=made["execution"]),
        "history": lambda: states.get_execution_history(executionArn=made["execution"]),
        "endpoint": lambda: sagemaker.describe_endpoint(EndpointName=named["endpoint"]),
        "config": lambda: sagemaker.describe_endpoint_config(EndpointConfigName=named["config"]),
        "model": lambda: sagemaker.describe_model(ModelName=named["model"]),
        "tags": lambda: sagemaker.list_tags(ResourceArn=f"{ARN}:endpoint/{named['endpoint']}"),
        "group": lambda: sagemaker.describe_model_package_group(ModelPackageGroupName="group"),
        "package": lambda: sagemaker.describe_model_package(ModelPackageName=f"{ARN}:model-package/group/1"),
        "packages": lambda: sagemaker.list_model_packages(ModelPackageGroupName="group"),
        "training": lambda: sagemaker.describe_training_job(TrainingJobName=made["training"]),
        "trainings": sagemaker.list_training_jobs,
        "processing": lambda: sagemaker.describe_processing_job(ProcessingJobName=made["processing"]),
        "targets": lambda: scaling.describe_scalable_targets(**target),
        "policies": lambda: scaling.describe_scaling_policies(**target),
        "function": lambda: aws.client("lambda").get_function_configuration(FunctionName=made["function"]),
        "logs": lambda: {"lines": aws.lines("TrainingJobs", made["training"])},
    }
    answers = {name: call() for name, call in calls.items()}
    for answer in answers.values():
        answer.pop("ResponseMetadata", None)
    return answers


def fill(aws: Aws) -> dict[str, str]:
    """Make something in each service; returns names and ARNs."""
    aws.s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    aws.s3.put_bucket_tagging(Bucket=aws.bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for text in ("first", "second"):
        aws.s3.put_object(
            Bucket=aws.bucket, Key="kept/text", Body=text, Metadata={"of": text}, ContentType="text/plain"
        )
    aws.s3.put_object(Bucket=aws.bucket, Key="kept/gone", Body="gone")
    aws.s3.delete_object(Bucket=aws.bucket, Key="kept/gone")
    key = {"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "id", "KeyType": "HASH"}
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="table", AttributeDefinitions=[key[0]], KeySchema=[key[1]], BillingMode="PAY_PER_REQUEST"
    )
    dynamodb.put_item(TableName="table", Item={"id": {"S": "1"}, "n": {"N": "2"}, "b": {"B": b"\0\xff"}})
    aws.client("cloudwatch").put_metric_alarm(**alarm_request("alarm", Namespace="Own", MetricName="m"))
    function = aws.function("return {'given': event, 'bucket': os.environ['AWS_REGION']}")
    events = aws.client("events")
    events.put_rule(Name="rule", EventPattern=json.dumps({"source": ["own"]}))
    events.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": function}])
    aws.stack(
        "stack",
        {"Group": {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "group"}}},
    )
    aws.sagemaker.create_model_package(
        ModelPackageGroupName="group",
        ModelApprovalStatus="Approved",
        ClientToken="token",
        InferenceSpecification={
            "Containers": [aws.container("packaged")],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    model, name = aws.model("kept"), unique("endpoint")
    aws.config(name, model, 2, InstanceType="ml.m5.large")
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=[{"Key": "of", "Value": "us"}])
    aws.settled(name)
    scaling = aws.client("application-autoscaling")
    place = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**place, MinCapacity=1, MaxCapacity=3)
    tracked = {
        "TargetValue": 9.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    scaling.put_scaling_policy(
        **place,
        PolicyName="policy",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracked,
    )
    training = aws.trained(label="kept")["TrainingJobName"]
    processing = aws.processed("print('done')")["ProcessingJobName"]
    machine = aws.machine(Pass={"Type": "Pass", "Result": {"x": [1]}, "End": True})
    execution = aws.begin(machine)
    aws.outcome(execution)
    return {
        "endpoint": name,
        "model": model,
        "training": training,
        "processing": processing,
        "machine": machine,
        "execution": execution,
        "function": function,
    }


AT_REST = pytest.mark.drill(
    "kill -9",
    "the local AWS at rest",
    "after a start objects, tables, stacks, the registry, runs and logs are there again, and the endpoint answers",
)


@pytest.mark.parametrize("end", [pytest.param("stop", marks=pytest.mark.full), pytest.param("kill -9", marks=AT_REST)])
def test_all_that_the_services_knew_is_there_again_and_the_endpoint_serves(machine: Machine, end: str) -> None:
    aws = machine.start()
    made = fill(aws)
    before = everything(aws, made)
    machine.stop() if end == "stop" else machine.kill(made["execution"], "SUCCEEDED")
    aws = machine.start()
    assert everything(aws, made) == before
    assert aws.invoke(made["endpoint"], "1") == "kept:1"
    versions = before["versions"]["Versions"]
    bodies = [
        aws.s3.get_object(Bucket=aws.bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
        for each in versions
    ]
    assert sorted(bodies) == [b"first", b"gone", b"second"]
    answer = aws.client("lambda").invoke(FunctionName=made["function"], Payload=b"1")
    assert json.load(answer["Payload"]) == {"given": 1, "bucket": "us-east-1"}
    again = aws.sagemaker.create_model_package(ModelPackageGroupName="group", ClientToken="token")
    assert again["ModelPackageArn"] == f"{ARN}:model-package/group/1"
    more = aws.sagemaker.create_model_package(ModelPackageGroupName="group", SourceUri="second")
    assert more["ModelPackageArn"] == f"{ARN}:model-package/group/2"
    new = aws.model("new")
    aws.config(new, new, InstanceType="ml.m5.large")
    assert aws.update(made["endpoint"], new)["EndpointConfigName"] == new
    assert aws.invoke(made["endpoint"], "1") == "new:1"


@pytest.mark.rotated
@pytest.mark.drill(
    "kill -9",
    "the local AWS while a run trains",
    "after a start the run is ABORTED and its job Failed, both with the cause; EventBridge tells it, and the next job runs",
)
def test_a_run_that_was_under_way_at_kill_9_has_visibly_ended_and_says_so(
    machine: Machine, record_property: Record
) -> None:
    aws = machine.start()
    queue = aws.client("sqs").create_queue(QueueName="ends")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:ends"
    pattern = {"source": ["aws.states"], "detail": {"status": ["ABORTED", "TIMED_OUT", "FAILED"]}}
    aws.client("events").put_rule(Name="ends", EventPattern=json.dumps(pattern))
    aws.client("events").put_targets(Rule="ends", Targets=[{"Id": "1", "Arn": arn}])
    request = aws.training_request(action="hang")
    child = aws.machine(Train={"Type": "Task", "Resource": SYNC, "Parameters": request, "End": True})
    parent = aws.execute(NESTED, {"StateMachineArn": child})
    job = until(lambda: aws.sagemaker.list_training_jobs()["TrainingJobSummaries"])[0]["TrainingJobName"]
    until(lambda: aws.lines("TrainingJobs", job))
    transitions = len(aws.sagemaker.describe_training_job(TrainingJobName=job)["SecondaryStatusTransitions"])
    machine.kill(job, '"SecondaryStatus": "Training"')
    aws = machine.start()
    found = aws.sagemaker.describe_training_job(TrainingJobName=job)
    last = found["SecondaryStatusTransitions"][-1]
    shown = (found["TrainingJobStatus"], found["FailureReason"], found["SecondaryStatus"], last["StatusMessage"])
    assert (*shown, len(found["SecondaryStatusTransitions"])) == ("Failed", LOST, "Failed", LOST, transitions + 1)
    executions = [parent, aws.states.list_executions(stateMachineArn=child)["executions"][0]["executionArn"]]
    for execution in executions:
        assert aws.outcome(execution) == ("ABORTED", "LocalAws.Ended", ENDED)
        history = aws.states.get_execution_history(executionArn=execution)["events"]
        assert history[0]["type"] == "ExecutionStarted"
        assert (history[-1]["type"], history[-1]["executionAbortedEventDetails"]) == (
            "ExecutionAborted",
            {"error": "LocalAws.Ended", "cause": ENDED},
        )
    told: set[str] = set()

    def all_told() -> bool:
        received = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        told.update(json.loads(each["Body"])["detail"]["executionArn"] for each in received)
        return told == set(executions)

    until(all_told)
    assert aws.trained(label="again")["TrainingJobStatus"] == "Completed"
    record_property(
        "happened", f"run: ABORTED: {ENDED} Job: Failed: {LOST} EventBridge told both; the next job completed"
    )


@pytest.mark.rotated
@pytest.mark.drill(
    "kill -9",
    "the local AWS while an endpoint is updated ({id})",
    "after a start the old model serves, the reason says so, and the next update works",
)
@pytest.mark.parametrize("moment", [pytest.param("Creating", marks=pytest.mark.full), "Baking"])
def test_an_update_that_was_under_way_at_kill_9_is_undone(
    machine: Machine, moment: str, record_property: Record
) -> None:
    aws = machine.start()
    endpoint = aws.endpoint("old")
    before = aws.described(endpoint)
    never = {"PING": "never"} if moment == "Creating" else {}
    new = aws.endpoint_config("new", **never)
    plan = deployment("CANARY", 3000, CanarySize=percent(50))
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=plan)
    until(lambda: variant_status(aws.described(endpoint))["Status"] == moment)
    machine.kill("Updating", f'"Status": "{moment}"')
    aws = machine.start()
    found = aws.described(endpoint)
    assert {aws.invoke(endpoint, "1") for _ in range(4)} == {"old:1"}
    changing = ("LastModifiedTime", "ResponseMetadata")
    assert {name: value for name, value in found.items() if name not in changing} == {
        **{name: value for name, value in before.items() if name not in changing},
        "FailureReason": UNDONE,
    }
    better = aws.endpoint_config("better")
    assert aws.update(endpoint, better)["EndpointConfigName"] == better
    record_property("happened", f"InService, the old model answered; {UNDONE} The next update went live")


@pytest.mark.full
def test_an_endpoint_whose_model_is_gone_fails_with_the_reason_and_can_be_deleted(machine: Machine) -> None:
    aws = machine.start()
    endpoint, model = unique("endpoint"), aws.model("gone")
    aws.serve(endpoint, model)
    aws.sagemaker.delete_model(ModelName=model)
    machine.stop()
    aws = machine.start()
    found = aws.described(endpoint)
    reason = f'Could not find model "{ARN}:model/{model}".'
    assert (found["EndpointStatus"], found["FailureReason"]) == ("Failed", reason)
    machine.stop()
    aws = machine.start()
    assert aws.described(endpoint)["FailureReason"] == reason
    aws.delete(endpoint)


@pytest.mark.full
@pytest.mark.drill(
    "kill -9",
    "the local AWS while a stack is made",
    "after a start the stack is not there, the earlier ones are, and it can be made",
)
def test_a_stack_that_was_being_made_at_kill_9_has_not_been_begun(machine: Machine) -> None:
    aws = machine.start()
    stacks = aws.client("cloudformation")
    aws.stack("first", {"Topic": {"Type": "AWS::SNS::Topic"}})
    machine.has_kept("first", "CREATE_COMPLETE")
    wait = {"Type": "AWS::CloudFormation::WaitCondition", "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "600"}}
    handle = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    body = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Handle": handle, "Wait": wait}})
    stacks.create_stack(StackName="second", TemplateBody=body)
    until(lambda: stacks.describe_stack_resources(StackName="second")["StackResources"])
    machine.kill()
    aws = machine.start()
    found = aws.client("cloudformation").describe_stacks()["Stacks"]
    assert [(each["StackName"], each["StackStatus"]) for each in found] == [("first", "CREATE_COMPLETE")]
    made = aws.stack("second", {"Bucket": {"Type": "AWS::S3::Bucket"}})
    assert made["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.full
@pytest.mark.drill("kill -9", "the local AWS in mid-upload to S3", "after a start no half object and no part is there")
def test_what_is_under_way_in_s3_at_kill_9_leaves_no_half_object(machine: Machine) -> None:
    aws = machine.start()
    aws.put("whole", "whole")
    begun = aws.s3.create_multipart_upload(Bucket=aws.bucket, Key="parts")["UploadId"]
    aws.s3.upload_part(Bucket=aws.bucket, Key="parts", UploadId=begun, PartNumber=1, Body=b"x" * (5 << 20))
    machine.kill("things")
    half = machine.home / "s3" / "123456789012" / aws.bucket / "half.tmp"
    half.write_text("half")
    aws = machine.start()
    assert (aws.keys(""), aws.read("whole")) == (["whole"], b"whole")
    assert not (machine.home / "s3" / ".parts").exists()


@pytest.mark.drill(
    "start",
    "the state file is torn ({id})",
    "one line with the cause and the next step; nothing is deleted before that step",
)
@pytest.mark.parametrize(
    "share",
    [
        pytest.param(0.0, id="empty", marks=pytest.mark.full),
        pytest.param(0.5, id="half"),
        pytest.param(1.0, id="without its end", marks=pytest.mark.full),
    ],
)
def test_a_torn_state_file_is_one_line_and_the_next_step_and_a_fresh_start_works(
    machine: Machine, share: float, capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    machine.start().put("kept", "kept")
    machine.stop()
    file = state.path(machine.home)
    size = file.stat().st_size
    os.truncate(file, min(int(share * size), size - 1))
    torn = file.read_bytes()
    command = ["start", "--port", "0", "--home", str(machine.home)]
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"cannot use the state in {file}, it is damaged: ")
    assert said.endswith(". `make up FRESH=1` or `local-aws start --fresh` forgets it")
    assert (file.read_bytes(), find(machine.home)) == (torn, None)
    assert (machine.home / "s3" / "123456789012" / "things" / "kept").read_text() == "kept"
    subprocess.run([sys.executable, "-m", "local_aws", *command, "--fresh"], capture_output=True, check=True)
    cloud = find(machine.home)
    assert cloud is not None
    assert Aws(cloud).keys("") == []
    record_property("happened", f"cannot use the state …{said[said.index('. `') :]}; then it began empty")


@pytest.mark.full
@pytest.mark.drill("start", "`start --fresh` beside a running one", "one line; what runs keeps its data")
def test_a_running_one_does_not_start_fresh(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    aws = machine.start()
    aws.put("kept", "kept")
    assert main(["start", "--fresh", "--home", str(machine.home)]) == 1
    words = f"a local AWS runs in {machine.home}: stop it first; then it can start fresh\n"
    assert capsys.readouterr().err == words
    assert aws.read("kept") == b"kept"


@pytest.mark.full
@pytest.mark.drill(
    "disk full",
    "the state cannot be written",
    "the log says it once, the last state stays, and the next write that works has all",
)
def test_a_state_that_cannot_be_written_is_said_once_and_the_last_one_stays(machine: Machine) -> None:
    aws = machine.start()
    aws.put("first", "first")
    machine.has_kept("things")
    kept = machine.text()
    in_the_way = state.path(machine.home).with_suffix(".new")
    in_the_way.mkdir()
    for number in range(3):
        aws.client("sqs").create_queue(QueueName=f"queue-{number}")
        until(lambda: "is not kept" in machine.log())
    assert machine.log().count(f"the state is not kept: its last one stays in {state.path(machine.home)}") == 1
    assert machine.text() == kept
    in_the_way.rmdir()
    machine.has_kept("queue-2")


@pytest.mark.full
def test_one_that_is_run_for_a_command_keeps_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        ask = "import boto3; s3 = boto3.client('s3'); print(s3.list_buckets()['Buckets']); s3.create_bucket(Bucket='things')"
        command = [sys.executable, "-m", "local_aws", "run", "--home", str(tmp_path), "--", sys.executable, "-c", ask]
        assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "[]\n"
    assert not state.path(tmp_path).exists()


@pytest.mark.full
def test_nothing_is_written_while_nothing_changes(machine: Machine) -> None:
    aws = machine.start()
    aws.endpoint("any")

    def quiet() -> bool:
        """Whether the file has been the same for as long as several pauses."""
        age = time.time() - state.path(machine.home).stat().st_mtime
        return age > 5 * state.PAUSE_SECONDS

    until(quiet)
