"""Clients of the local AWS, its resources, requests with good defaults, and waiting: shared by all tests."""

import io
import json
import sys
import tarfile
import threading
import time
import tomllib
import uuid
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from local_aws.cloud import Cloud

STUB = "123456789012.dkr.ecr.us-east-1.amazonaws.com/stub:1"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ROLE = "arn:aws:iam::123456789012:role/anyone"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
SYNC = "arn:aws:states:::sagemaker:createTrainingJob.sync"
NESTED = "arn:aws:states:::states:startExecution.sync:2"
PROGRAMS = tomllib.loads(Path(__file__).with_name("programs.toml").read_text(encoding="utf-8"))
T = TypeVar("T")


def images(folder: Path) -> Path:
    """The file for SAGEMAKER_IMAGES that adds the image `stub`."""
    program = [sys.executable, "-I", "-S", "-u", str(Path(__file__).with_name("stub_container.py"))]  # starts in 10 ms
    stub = {"train": [*program, "train", "{root}"], "serve": [*program, "serve", "{root}", "{port}"]}
    table = folder / "images.json"
    table.write_text(json.dumps({"stub": stub}))
    return table


class Aws:
    """A local AWS and its resources. Keywords in CamelCase are members of the request."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.clients: dict[str, Any] = {}
        services = ("sagemaker", "s3", "stepfunctions")
        self.sagemaker, self.s3, self.states = map(self.client, services)
        self.runtime = self.client("sagemaker-runtime", retries={"total_max_attempts": 1})  # or it hides what is lost
        self.bucket = "things"
        self.s3.create_bucket(Bucket=self.bucket)
        with suppress(ClientError):  # it exists
            self.role("anyone", ["sagemaker", "states"], EVERYTHING)

    def client(
        self, service: str, keys: tuple[str, str] | None = None, region: str = "us-east-1", **config: Any
    ) -> Any:
        """A client, made once: to make one takes longer than most calls."""
        name = json.dumps([service, keys, region, config])
        if name not in self.clients:
            own = self.cloud.credentials
            session: Any = boto3.Session(*(keys or (own.key, own.secret)), region_name=region)
            options = {"endpoint_url": self.cloud.endpoint_url, "config": Config(**config)}
            self.clients[name] = session.client(service, **options)
        return self.clients[name]

    # IAM

    def role(self, name: str, services: list[str], *statements: dict[str, Any]) -> str:
        """The ARN of a new role that these services can assume."""
        iam = self.client("iam")
        trusted = [f"{service}.amazonaws.com" for service in services]
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": trusted}}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
        return str(made["Role"]["Arn"])

    def user_keys(self, *statements: dict[str, Any]) -> tuple[str, str]:
        """The access key and the secret of a new user with these permissions."""
        iam, name = self.client("iam"), unique("user")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def user(self, service: str, *statements: dict[str, Any]) -> Any:
        """A client of a new user with these permissions."""
        return self.client(service, self.user_keys(*statements))

    # S3 and logs

    def put(self, key: str, body: bytes | str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"].removeprefix(prefix) for entry in found.get("Contents", [])]

    def lines(self, group: str, prefix: str) -> list[str]:
        """The log lines of a group's streams with this prefix; none before the group exists."""
        logs, lines = self.client("logs"), []
        where = {"logGroupName": f"/aws/sagemaker/{group}"}
        try:
            streams = logs.describe_log_streams(**where, logStreamNamePrefix=prefix)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        for stream in streams:
            found = logs.get_log_events(**where, logStreamName=stream["logStreamName"], startFromHead=True)
            lines += [event["message"] for event in found["events"]]
        return lines

    # Jobs

    def training_request(self, **given: Any) -> dict[str, Any]:
        """A training job of the stub; keywords in lower case are hyperparameters."""
        members = {name: value for name, value in given.items() if name[0].isupper()}
        parameters = {name: value for name, value in given.items() if name not in members}
        return {"TrainingJobName": unique("train"), "HyperParameters": parameters, **template("training"), **members}

    def processing_request(
        self, program: str = "", *arguments: str, count: int = 1, inputs: Sequence[Any] = (), **members: Any
    ) -> dict[str, Any]:
        """A processing job that runs a Python program on `count` instances."""
        request, name = template("processing"), unique("process")
        code = self.put(f"code/{name}/program.py", program)
        request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = count
        if arguments:
            request["AppSpecification"]["ContainerArguments"] = list(arguments)
        inputs = [processing_input(code, "code"), *inputs]
        return {"ProcessingJobName": name, **request, "ProcessingInputs": inputs, **members}

    def transform_request(self, data: str, model: str, count: int = 1, **members: Any) -> dict[str, Any]:
        """A transform of the objects below `data` to `scored/{data}`, by lines; other Input and Output members win."""
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/{data}"}}
        split = members.pop("Split", {"SplitType": "Line"})
        assemble = members.pop("Assemble", {"AssembleWith": "Line"})
        return {
            "TransformJobName": unique("transform"),
            "ModelName": model,
            "TransformInput": {"DataSource": source, "ContentType": "text/csv", **split},
            "TransformOutput": {"S3OutputPath": f"s3://{self.bucket}/scored/{data}", "Accept": "text/csv", **assemble},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": count},
            **members,
        }

    def start(self, kind: str, request: dict[str, Any]) -> str:
        """The name of the new job; `kind` is training, processing or transform."""
        getattr(self.sagemaker, f"create_{kind}_job")(**request)
        return str(request[f"{kind.title()}JobName"])

    def tuning_request(
        self, strategy: str = "Random", jobs: int = 3, parallel: int = 2, **given: Any
    ) -> dict[str, Any]:
        """A tuning job of the stub for `place`, which is best at 0.25; keywords in lower case are hyperparameters."""
        members = {name: given.pop(name) for name in [*given] if name[0].isupper()}
        definition = {"StaticHyperParameters": given, **template("training")}
        definition["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "score", "Regex": r"score=(\S+)"}]
        config = {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "place", "MinValue": "0", "MaxValue": "1"}]},
            "RandomSeed": 1,
        }
        return {
            "HyperParameterTuningJobName": unique("tune"),
            "HyperParameterTuningJobConfig": {**config, **members.pop("Config", {})},
            "TrainingJobDefinition": {**definition, **members.pop("Definition", {})},
            **members,
        }

    def tune(self, **given: Any) -> str:
        request = self.tuning_request(**given)
        self.sagemaker.create_hyper_parameter_tuning_job(**request)
        return str(request["HyperParameterTuningJobName"])

    def tuned(self, name: str) -> dict[str, Any]:
        """The tuning job's description after its end."""
        describe = partial(self.sagemaker.describe_hyper_parameter_tuning_job, HyperParameterTuningJobName=name)
        going = ("InProgress", "Stopping")
        return dict(until(describe, lambda found: found["HyperParameterTuningJobStatus"] not in going))

    def tunings(self, name: str, **request: Any) -> list[dict[str, Any]]:
        """The training jobs of a tuning job, as they are listed."""
        call = self.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job
        return list(call(HyperParameterTuningJobName=name, **{"MaxResults": 100, **request})["TrainingJobSummaries"])

    def wait(self, kind: str, name: str) -> dict[str, Any]:
        """The job's description after its end."""
        member = f"{kind.title()}Job"
        describe = partial(getattr(self.sagemaker, f"describe_{kind}_job"), **{f"{member}Name": name})
        return dict(until(describe, lambda job: job[f"{member}Status"] not in ("InProgress", "Stopping")))

    def train(self, **given: Any) -> str:
        return self.start("training", self.training_request(**given))

    def trained(self, **given: Any) -> dict[str, Any]:
        return self.wait("training", self.train(**given))

    def process(self, program: str, *arguments: str, **given: Any) -> str:
        return self.start("processing", self.processing_request(program, *arguments, **given))

    def processed(self, program: str, *arguments: str, **given: Any) -> dict[str, Any]:
        return self.wait("processing", self.process(program, *arguments, **given))

    # Endpoints

    def container(self, label: str, name: str = "", **environment: str) -> dict[str, Any]:
        """A container of the stub, which answers each line with `label:line`."""
        archive = packed("model.json", json.dumps({"label": label}))
        url = self.put(f"models/{name or unique(label)}/model.tar.gz", archive)
        return {"Image": STUB, "ModelDataUrl": url, "Environment": environment}

    def model(self, label: str, **environment: str) -> str:
        """A model of the stub."""
        name = unique(label)
        container = self.container(label, name, **environment)
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def pipeline(self, *containers: dict[str, Any], **members: Any) -> str:
        """A model of several containers."""
        name = unique("pipeline")
        self.sagemaker.create_model(
            **{"ModelName": name, "Containers": list(containers), "ExecutionRoleArn": ROLE} | members
        )
        return name

    def config(self, name: str, model: str, count: int = 1, **members: Any) -> str:
        """A configuration of one variant."""
        own = {
            "instance": members.pop("InstanceType", "ml.t2.medium"),
            "name": members.pop("VariantName", "AllTraffic"),
        }
        variants = [variant(model, count, **own)]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **members)
        return name

    def endpoint_config(self, label: str, count: int = 1, **environment: str) -> str:
        """A configuration of a new model, with the model's name."""
        name = self.model(label, **environment)
        return self.config(name, name, count)

    def serve(self, name: str, model: str = "", count: int = 1, **config: Any) -> str:
        """An endpoint and a configuration of this name for a model, which defaults to `name`."""
        self.config(name, model or name, count, **config)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self.settled(name)
        return name

    def endpoint(self, label: str, count: int = 1, **environment: str) -> str:
        """An endpoint in service with a new model."""
        return self.serve(unique("endpoint"), self.model(label, **environment), count)

    def described(self, endpoint: str) -> dict[str, Any]:
        return dict(self.sagemaker.describe_endpoint(EndpointName=endpoint))

    def settled(self, endpoint: str) -> dict[str, Any]:
        """The endpoint's description when it is neither created nor updated, hence in service or failed."""
        return until(lambda: self.described(endpoint), lambda found: found["EndpointStatus"] in ("InService", "Failed"))

    def update(self, endpoint: str, config: str, **more: Any) -> dict[str, Any]:
        """The endpoint's description after an update."""
        self.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **more)
        return self.settled(endpoint)

    def delete(self, endpoint: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=endpoint)
        waiter = self.sagemaker.get_waiter("endpoint_deleted")
        waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})

    def invoke(self, endpoint: str, body: bytes | str, **more: str) -> str:
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="text/csv", **more)
        return str(answer["Body"].read().decode())

    # Step Functions

    def machine(self, role: str = ROLE, **states: Any) -> str:
        """The ARN of a new machine that begins with the first state; `TimeoutSeconds` may be among the states."""
        seconds = {"TimeoutSeconds": states.pop("TimeoutSeconds")} if "TimeoutSeconds" in states else {}
        definition = {"StartAt": next(iter(states)), "States": states, **seconds}
        made = self.states.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=role)
        return str(made["stateMachineArn"])

    def begin(self, machine: str, value: Any = None) -> str:
        """The ARN of a new execution."""
        return str(self.states.start_execution(stateMachineArn=machine, input=json.dumps(value or {}))["executionArn"])

    def execute(self, resource: str, parameters: dict[str, Any], role: str = ROLE, **task: Any) -> str:
        """The ARN of an execution of one task."""
        task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **task}
        return self.begin(self.machine(role, Task=task))

    def outcome(self, execution: str) -> tuple[str, str, Any]:
        """Status, error, and the output or the cause of an execution, after its end."""
        describe = partial(self.states.describe_execution, executionArn=execution)
        found = until(describe, lambda found: found["status"] != "RUNNING")
        if found["status"] == "SUCCEEDED":
            return "SUCCEEDED", "", json.loads(found["output"])
        return found["status"], found.get("error", ""), found.get("cause", "")

    def run(self, resource: str, parameters: dict[str, Any], role: str = ROLE, **task: Any) -> tuple[str, str, Any]:
        """The outcome of one task."""
        return self.outcome(self.execute(resource, parameters, role, **task))

    # Lambda and CloudFormation

    def function(self, *lines: str, init: str = "") -> str:
        """The ARN of a new Lambda that runs these lines with `event`, and `init` when it starts."""
        role = self.role(unique("role"), ["lambda"], EVERYTHING)
        program = {"Runtime": "python3.12", "Handler": "handler.handle", "Code": {"ZipFile": zipped(*lines, init=init)}}
        made = self.client("lambda").create_function(FunctionName=unique("function"), Role=role, Timeout=60, **program)
        return str(made["FunctionArn"])

    def stack(self, name: str, resources: dict[str, Any], **outputs: Any) -> dict[str, Any]:
        """The description of a new stack once it is created or has failed; `Outputs` by key."""
        stacks, values = self.client("cloudformation"), {key: {"Value": value} for key, value in outputs.items()}
        template = json.dumps({"Resources": resources, "Outputs": values})
        stacks.create_stack(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
        stack = until(
            lambda: stacks.describe_stacks(StackName=name)["Stacks"][0],
            lambda found: not found["StackStatus"].endswith("_IN_PROGRESS"),
        )
        return {**stack, "Outputs": {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}}


def zipped(*lines: str, init: str = "") -> bytes:
    """The package of a Lambda that runs these lines with `event`, and `init` when it starts."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        body = "".join(f"    {line}\n" for line in lines)
        head = f"import boto3, json, os\nclass LeaseHeld(Exception): ...\n{init}\ndef handle(event, context):\n"
        archive.writestr("handler.py", head + body)
    return code.getvalue()


def template(kind: str) -> dict[str, Any]:
    """A request with good defaults."""
    return dict(json.loads(Path(__file__).with_name("requests.json").read_text(encoding="utf-8"))[kind])


def policy(*statements: dict[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def but(*actions: str) -> dict[str, Any]:
    """A statement that allows everything except these actions."""
    return {"Effect": "Allow", "NotAction": list(actions), "Resource": "*"}


def channel(name: str, uri: str, **source: str) -> dict[str, Any]:
    """A training channel of CSV objects below a prefix."""
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}
    return {"ChannelName": name, "ContentType": "text/csv", "DataSource": data}


def processing_input(uri: str, folder: str, **more: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{folder}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": folder, "S3Input": s3 | more}


def processing_output(uri: str, folder: str = "out") -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{folder}", "S3UploadMode": "EndOfJob"}
    return {"Outputs": [{"OutputName": folder, "S3Output": s3}]}


def variant(model: str, count: int = 1, instance: str = "ml.t2.medium", name: str = "AllTraffic") -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InitialInstanceCount": count, "InstanceType": instance}


def alarm_request(name: str, **members: Any) -> dict[str, Any]:
    """A CloudWatch alarm on a sum over a minute that is greater than 0."""
    statistic = {} if "ExtendedStatistic" in members else {"Statistic": "Sum"}
    return {"AlarmName": name, **template("alarm"), **statistic, **members}


def packed(name: str, text: str) -> bytes:
    """A gzipped tar archive of one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


def refused(call: Callable[..., Any], *arguments: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the refusal of a call."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def until(look: Callable[[], T], done: Callable[[T], Any] = bool, seconds: float = 120.0) -> T:
    """The first result of `look` that is `done`; it is asked less and less often, as each time takes the server's."""
    pause, wait, deadline = threading.Event(), 0.02, time.monotonic() + seconds
    while not done(found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing after {seconds} s; last: {found!r}")
        pause.wait(wait)
        wait = min(1.2 * wait, 0.1)
    return found
