"""The life of a stage by the real CDK CLI: made, made again, changed, used, and taken away with nothing left behind."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from local_aws.cloud import running

from tests.conftest import ROOT, WDBC
from tests.ops.test_rights import ALWAYS, DESTROY, key_of_user, statements

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(900)]


class Shell:
    """Commands as a person types them, for settings in a file of their own."""

    def __init__(self, environment: dict[str, str], config: Path) -> None:
        self.environment = {**environment, "PIPELINE_CONFIG": str(config), "STAGE": "dev"}

    def __call__(self, *arguments: str, answer: str = "", code: int = 0) -> str:
        ran = subprocess.run(
            arguments, env=self.environment, cwd=ROOT, capture_output=True, text=True, input=answer, check=False
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def cdk(self, *arguments: str, code: int = 0) -> str:
        return self("cdk", *arguments, "--ci", code=code)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    config = tmp_path / "pipeline.toml"
    config.write_text((ROOT / "pipeline.toml").read_text().replace("vpc = false", "vpc = true", 1))
    with running(environment={"SFN_WAIT_SCALE": "0.01"}) as cloud:
        path = f"{ROOT / '.venv' / 'bin'}:{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}"
        account = {"CDK_DEFAULT_ACCOUNT": "123456789012", "CDK_DEFAULT_REGION": "us-east-1"}
        own = {**account, "PATH": path, "CDK_OUTDIR": str(tmp_path / "out")}
        yield Shell({**os.environ, **cloud.environment, **own}, config)


def client(shell: Shell, service: str) -> Any:
    keys = (shell.environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    session = boto3.Session(*keys, region_name="us-east-1")
    return session.client(service, endpoint_url=shell.environment["AWS_ENDPOINT_URL"])  # type: ignore[call-overload]


def buckets(shell: Shell) -> set[str]:
    return {bucket["Name"] for bucket in client(shell, "s3").list_buckets()["Buckets"]}


def quarantine(shell: Shell) -> list[dict[str, Any]]:
    """The rows that the only run left out, of all its instances."""
    s3, rows = client(shell, "s3"), []
    for bucket in buckets(shell):
        for item in s3.list_objects_v2(Bucket=bucket, Prefix="rows/").get("Contents", []):
            if "/quarantine/" in item["Key"]:
                lines = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().splitlines()
                rows += map(json.loads, lines)
    return rows


def variant(shell: Shell) -> dict[str, Any]:
    (found,) = client(shell, "sagemaker").describe_endpoint(EndpointName="breast-cancer")["ProductionVariants"]
    return dict(found)


def scaled_to_two(shell: Shell) -> None:
    """The run registered the variant and its policy; what Application Auto Scaling would do under load is done here."""
    scaling, sagemaker = client(shell, "application-autoscaling"), client(shell, "sagemaker")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    own = variant(shell)["VariantName"]
    assert target["ResourceId"] == policy["ResourceId"] == f"endpoint/breast-cancer/variant/{own}"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60
    assert variant(shell)["DesiredInstanceCount"] == 1
    two = [{"VariantName": own, "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="breast-cancer", DesiredWeightsAndCapacities=two)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="breast-cancer", WaiterConfig={"Delay": 1})


def ours(shell: Shell) -> dict[str, list[str]]:
    """The VpcConfig that names what the stack made."""
    own = [{"Name": "tag:aws:cloudformation:stack-name", "Values": ["breast-cancer"]}]
    ec2 = client(shell, "ec2")
    return {
        "SecurityGroupIds": [group["GroupId"] for group in ec2.describe_security_groups(Filters=own)["SecurityGroups"]],
        "Subnets": [subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=own)["Subnets"]],
    }


def asked_for_a_vpc(shell: Shell) -> list[dict[str, Any]]:
    """The VpcConfig of the training job, of the model and of two processing jobs, as they are described."""
    sagemaker = client(shell, "sagemaker")
    train = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    model = sagemaker.list_models()["Models"][0]["ModelName"]
    jobs = [job["ProcessingJobName"] for job in sagemaker.list_processing_jobs()["ProcessingJobSummaries"][:2]]
    described = [sagemaker.describe_processing_job(ProcessingJobName=job)["NetworkConfig"] for job in jobs]
    training = sagemaker.describe_training_job(TrainingJobName=train)
    return [found["VpcConfig"] for found in (training, sagemaker.describe_model(ModelName=model), *described)]


def changed(diff: str) -> set[str]:
    """Types of the resources that a diff names, with what becomes of them."""
    return set(re.findall(r"^(\[[-+~]\] AWS::\S+)", diff, re.MULTILINE))


def test_a_stage_is_made_changed_used_and_taken_away(shell: Shell, tmp_path: Path) -> None:
    shell.cdk("bootstrap", "--app", "", "aws://123456789012/us-east-1")
    everything = buckets(shell)
    unprepared = shell.cdk("deploy", "--all", "--require-approval", "never", code=1)
    assert "CloudWatch Logs role ARN must be set in account settings to enable logging" in unprepared
    shell("python", "-m", "ops", "bootstrap")
    shell.cdk("deploy", "--all", "--require-approval", "never")
    assert "(no changes)" in shell.cdk("deploy", "--all", "--require-approval", "never")

    config = Path(shell.environment["PIPELINE_CONFIG"])
    text = config.read_text().replace("auc = 0.97", "auc = 0.96").replace("count = 0 ", "count = 6 ")
    before, after = text.split("[processing]")
    after = after.replace("instance_count = 1", "instance_count = 2", 1).replace("ml.t2.medium", "ml.m5.large")
    for key, value in {"max_instances": 3, "calls_per_minute": 60}.items():
        after = after.replace(f"{key} = 0", f"{key} = {value}")
    config.write_text(f"{before}[processing]{after}")
    # The jobs read the settings file, their role and the VPC endpoint allow that file, and the function hashes them.
    types = ("StepFunctions::StateMachine", "IAM::Policy", "Lambda::Function", "EC2::VPCEndpoint")
    expected = {f"[~] AWS::{name}" for name in types}
    assert changed(shell.cdk("diff", "--all")) == expected
    shell.cdk("deploy", "--all", "--require-approval", "never")
    assert changed(shell.cdk("diff", "--all")) == set()

    header, *rows = WDBC.read_text().splitlines()
    wrong = ["1,B," + ",".join(["NaN"] * 30), "2,B,3"] * 3  # about 1 %
    spoilt = tmp_path / "spoilt.csv"
    spoilt.write_text("\n".join([header, *rows[:300], *wrong, *rows[300:]]))
    shell("python", "-m", "ops", "upload", str(spoilt))
    assert "accepted" in shell("python", "-m", "ops", "watch")
    assert [(row["row"], row["text"]) for row in quarantine(shell)] == list(enumerate(wrong, 302))

    scaled_to_two(shell)
    shell("python", "-m", "ops", "retrain", "--force")
    assert "accepted" in shell("python", "-m", "ops", "watch")
    assert variant(shell)["DesiredInstanceCount"] == 2, "a release keeps what autoscaling made of it"

    assert asked_for_a_vpc(shell) == [ours(shell)] * 4

    shell("python", "-m", "ops", "destroy", answer="n\n", code=1)
    assert client(shell, "sagemaker").describe_endpoint(EndpointName="breast-cancer")["EndpointStatus"] == "InService"

    deployed = buckets(shell)
    shell("python", "-m", "ops", "destroy", answer="y\n")
    assert buckets(shell) == everything | deployed, "data stays without --data"

    shell.cdk("deploy", "--all", "--require-approval", "never")
    owner = dict(shell.environment)
    shell.environment.update(who_may_destroy(shell))
    shell("python", "-m", "ops", "destroy", "--data", "--yes")
    shell.environment.update(owner)
    assert nothing_left(shell) == []


def who_may_destroy(shell: Shell) -> dict[str, str]:
    """The credentials of a user with the permissions that docs/deploy.md lists for the CDK, `ops` and `make destroy`."""
    (stack,) = client(shell, "cloudformation").describe_stacks(StackName="breast-cancer")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    row = next(line for line in (ROOT / "docs/deploy.md").read_text().splitlines() if line.startswith("| CDK |"))
    roles = [f"arn:aws:iam::123456789012:role/{name}" for name in re.findall(r"`(cdk-[^`]+)`", row)]
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles}
    return key_of_user(client(shell, "iam"), [assume, *statements(outputs, *ALWAYS, DESTROY)])


def nothing_left(shell: Shell) -> list[str]:
    """What is still there of the project, but the data of the stack that was destroyed without `--data`."""
    asked: dict[str, Any] = {"describe_scalable_targets": {"ServiceNamespace": "sagemaker"}}
    listed = [
        (call, item)
        for service, calls in tomllib.loads((ROOT / "tests/left_over.toml").read_text()).items()
        for call, member in calls.items()
        for item in getattr(client(shell, service), call)(**asked.get(call, {})).get(member, [])
    ]
    ours = {
        "describe_vpcs": lambda vpc: not vpc["IsDefault"],
        "list_roles": lambda role: role["RoleName"].startswith("breast"),
        "describe_stacks": lambda stack: stack["StackName"] == "breast-cancer",
    }
    return [str(item) for call, item in listed if ours.get(call, bool)(item)]
