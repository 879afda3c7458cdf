"""Every command: on a live pipeline, on an empty account, and on a stack whose resources are deleted."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from local_aws.cloud import Cloud

from ops import doctor
from ops.account import Account, OpsError
from ops.doctor import instances
from ops.runs import Run, latest
from pipeline.config import load
from pipeline.settings import Serverless
from tests.conftest import ROOT, WDBC, Deployed
from tests.ops.typing import HEADER, ROWS, ran, typed

pytestmark = pytest.mark.cloud
_TABLE = tomllib.loads(Path(__file__).with_name("deleted.toml").read_text("utf-8"))
DELETED = {tuple(part.format(wdbc=WDBC) for part in key.split()): answer for key, answer in _TABLE.items()}


@pytest.mark.parametrize("command", [*DELETED, ("url",)], ids=lambda command: command[0])
def test_on_an_empty_account_the_next_step_is_to_deploy(empty: Cloud, command: tuple[str, ...]) -> None:
    message = "no stack breast-cancer here: run `make up` (local) or `make deploy` (AWS) first"
    answer = typed(*command)
    assert (answer.code, answer.out, answer.err) == (1, "", f"error: {message}\n")


def test_with_json_an_error_is_a_document_too(empty: Cloud) -> None:
    answer = typed("status", "--json")
    assert (answer.code, answer.document["error"]) == (1, "NotDeployed")
    assert answer.document["message"] in answer.err


@pytest.mark.parametrize("command", DELETED, ids=lambda command: command[0])
def test_a_deleted_resource_is_named_in_one_line(broken: Cloud, command: tuple[str, ...]) -> None:
    answer = typed(*command)
    assert (answer.code, len(answer.err.splitlines())) == (DELETED[command][0], 0 if answer.out else 1)
    assert DELETED[command][1] in answer.out + answer.err


def checks() -> dict[str, dict[str, str]]:
    """The doctor's checks, by name; its exit code is 1 when one has a fix."""
    answer = typed("doctor", "--json")
    assert answer.code == any(check["fix"] for check in answer.document)
    return {check["name"]: check for check in answer.document}


def fixes() -> dict[str, str]:
    return {name: check["fix"] for name, check in checks().items() if check["fix"]}


@pytest.mark.xdist_group("bare")
@pytest.mark.parametrize(("account", "more"), [("empty", {"signature"}), ("broken", set[str]())])
def test_the_doctor_of_an_account_without_the_stack_or_its_resources_names_each_fix(
    request: pytest.FixtureRequest, account: str, more: set[str]
) -> None:
    request.getfixturevalue(account)
    found = fixes()
    assert set(found) == {"bootstrap", "API logs", "stack", "settings", "endpoint", "receivers", *more}
    assert found["bootstrap"] == found["API logs"] == "run `make bootstrap` (locally `make up` does it)"
    assert "make deploy" in found["stack"]


def test_the_doctor_names_the_fix_for_a_machine_without_node_or_credentials(
    empty: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = checks()
    fix = "run `make install`: it brings Node as a Python package"
    assert found["Node"] == {"name": "Node", "found": "node is not on the PATH", "fix": fix}
    assert found["CDK"]["fix"] == "run `make install`"
    assert found["credentials"]["found"] == "no credentials found"
    assert found["credentials"]["fix"].startswith("run `aws configure` or `aws sso login`")
    assert found["stack"]["found"] == "Unable to locate credentials"


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_doctor_asks_for_the_quotas_of_the_document(stage: str) -> None:
    rows = [row.split("|")[1:-1] for row in (ROOT / "docs/deploy.md").read_text().splitlines() if "usage`" in row]
    counts = {row[0].strip("` "): row[1 + (stage == "prod")].split() for row in rows}
    documented = {name: int(count[0]) for name, count in counts.items() if count}
    assert instances(load(ROOT / "pipeline.toml", stage)) == documented


def test_a_serverless_endpoint_needs_no_instances() -> None:
    settings = load(ROOT / "pipeline.toml")
    serverless = {"instance_type": "", "serverless": Serverless(memory_mb=1024, max_concurrency=5)}
    needed = instances(settings.model_copy(update={"endpoint": settings.endpoint.model_copy(update=serverless)}))
    assert needed == {name: count for name, count in instances(settings).items() if "endpoint" not in name}


@pytest.mark.parametrize(("jobs", "instances_in_all"), [(0, 3), (1, 3), (8, 6)])
def test_tuning_needs_the_instances_of_the_jobs_in_parallel(jobs: int, instances_in_all: int) -> None:
    settings = load(ROOT / "pipeline.toml")
    training = settings.training.model_copy(update={"instance_count": 3})
    tuning = settings.tuning.model_copy(update={"jobs": jobs, "parallel": 2})
    needed = instances(settings.model_copy(update={"training": training, "tuning": tuning}))
    assert needed["ml.m5.large for training job usage"] == instances_in_all


def test_spot_training_needs_its_own_quota_and_that_on_demand() -> None:
    settings = load(ROOT / "pipeline.toml")
    training = settings.training.model_copy(update={"spot": True, "instance_count": 3})
    needed = instances(settings.model_copy(update={"training": training}))
    named = {name: count for name, count in needed.items() if "training" in name}
    assert named == dict.fromkeys(("ml.m5.large for spot training job usage", "ml.m5.large for training job usage"), 3)


class Quotas:
    """Service Quotas, which the local AWS has not: the defaults, and what the account has instead."""

    def __init__(self, defaults: dict[str, float], applied: dict[str, float]) -> None:
        self.by_operation = {"list_aws_default_service_quotas": defaults, "list_service_quotas": applied}
        self.listed: dict[str, float] = {}

    def client(self, service: str) -> "Quotas":
        assert service == "service-quotas"
        return self

    def get_paginator(self, operation: str) -> "Quotas":
        self.listed = self.by_operation[operation]
        return self

    def paginate(self, ServiceCode: str) -> "Quotas":  # noqa: N803 boto3's name
        assert ServiceCode == "sagemaker"
        return self

    def search(self, expression: str) -> list[dict[str, Any]]:
        return [{"QuotaName": name, "Value": value} for name, value in self.listed.items()]


def test_a_quota_that_was_never_changed_counts_with_its_default_and_an_unknown_one_as_none() -> None:
    settings = load(ROOT / "pipeline.toml")
    processing, training, transform, endpoint = instances(settings)
    defaults: dict[str, float] = {processing: 0, training: 4, transform: 3}
    account = Account(settings, cast(Any, Quotas(defaults, {processing: 3, endpoint: 2})))
    assert doctor.CHECKS["quotas"][0](account) == "enough for every job and the endpoint"
    account = Account(settings, cast(Any, Quotas(defaults, {transform: 1})))
    found = f"{processing}: 0 of 3; {transform}: 1 of 3; {endpoint}: 0 of 2"
    with pytest.raises(OpsError, match=f"^too few instances: {found}$"):
        doctor.CHECKS["quotas"][0](account)


def test_the_doctor_asks_for_a_confirmed_subscription(empty: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = boto3.Session()
    sns = session.client("sns")
    topic = sns.create_topic(Name="nobody")["TopicArn"]
    account = Account(load(ROOT / "pipeline.toml"), session)
    vars(account)["outputs"] = {"Topic": topic}
    clients = {"sns": sns}
    monkeypatch.setattr(session, "client", clients.__getitem__)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(OpsError, match=r"^nobody receives notifications: no confirmed subscription, 0 pending$"):
        doctor.CHECKS["receivers"][0](account)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="team@example.com")
    assert doctor.CHECKS["receivers"][0](account) == "1 confirmed subscription(s)"


@pytest.mark.parametrize("kept", [100, 99])
def test_the_doctor_asks_for_the_concurrency_that_a_first_deployment_reserves(
    empty: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    config = tmp_path / "pipeline.toml"
    config.write_text(f"{(ROOT / 'pipeline.toml').read_text()}\n[stage.reserving.api]\nconcurrency = {limit - kept}\n")
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    monkeypatch.setenv("STAGE", "reserving")
    check, account = doctor.CHECKS["concurrency"][0], Account.of(str(config))
    if kept == 100:
        assert check(account) == f"{limit} unreserved"
        return
    with pytest.raises(
        OpsError, match=rf"^{limit} unreserved: \[api\] concurrency needs {limit - kept} and AWS keeps 100$"
    ):
        check(account)


def test_the_doctor_names_the_fix_for_a_stack_of_other_settings(
    live: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text((ROOT / "pipeline.toml").read_text().replace("epochs = 30", "epochs = 31"))
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    found = fixes()
    assert found["settings"].startswith("run `make deploy`")
    assert "stack" not in found


def test_the_doctor_of_a_live_pipeline_finds_nothing(live: Deployed) -> None:
    answer = typed("doctor")
    assert "FIX" not in answer.out, answer.out
    assert answer.code == 0


def accepted(live: Deployed) -> Run:
    return next(run for run in latest(live.account, 50) if run.outcome == "accepted")


def test_status_shows_what_is_live_and_why(live: Deployed) -> None:
    document = typed("status", "--json").document
    config = live.account.sagemaker.describe_endpoint(EndpointName="breast-cancer")["EndpointConfigName"]
    assert (document["endpoint"]["status"], document["endpoint"]["config"]) == ("InService", config)
    assert document["endpoint"]["run"]["outcome"] == "accepted"
    assert document["endpoint"]["run"]["package"] == document["endpoint"]["package"]
    assert document["runs"][0]["name"] == latest(live.account, 1)[0].name
    text = typed("status").out
    assert f"endpoint breast-cancer: InService, {config} since" in text
    assert "passes every threshold of the quality gate" in text
    assert accepted(live).name in typed("runs", "--limit", "100").out


def test_an_alarm_is_in_the_status_and_one_of_a_project_of_like_name_is_not(live: Deployed) -> None:
    alarm, others = "breast-cancer-latency", ["breast-cancer-prod-latency", "breast-cancer-mine"]
    watch = live.client("cloudwatch")
    for other, description in zip(others, ({"AlarmDescription": "slow: docs/runbook.md#latency"}, {}), strict=True):
        metric = {"Namespace": "other", "MetricName": "latency", "Statistic": "Sum", "Period": 60}
        limit = {"EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
        watch.put_metric_alarm(AlarmName=other, **description, **metric, **limit)
    try:
        for name in (alarm, *others):
            watch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="tried")
        assert [each["name"] for each in typed("status", "--json").document["alarms"]] == [alarm]
        assert f"ALARM {alarm}: tried" in typed("status").out
        assert typed("doctor").code == 1
    finally:
        watch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="tried")
        watch.delete_alarms(AlarmNames=others)


def test_the_logs_of_a_run_are_those_of_its_jobs(live: Deployed) -> None:
    name = accepted(live).name
    trained = typed("logs", name, "Train", "--json").document
    assert [part["job"]["kind"] for part in trained["jobs"]] == ["train"]
    assert any("Best model found for hyperparameters" in line for line in trained["jobs"][0]["lines"])
    assert trained["failed"] == []
    assert typed("logs", name, "Deploy/Cleanup").code == 4


def test_the_logs_of_a_failed_run_begin_with_its_cause(live: Deployed) -> None:
    before, failed = accepted(live), ran(live, "bad.csv", "x")
    answer = typed("logs", failed.name)
    assert answer.code == 0
    assert answer.out.splitlines()[0].startswith("Preprocess: States.TaskFailed: bad.csv, row 2")
    document = typed("logs", "--json").document
    assert [part["state"] for part in document["jobs"]] == ["Preprocess"]
    assert document["jobs"][0]["lines"][-1].startswith("bad.csv, row 2")
    differences = {line["what"]: line for line in typed("diff", before.name, failed.name, "--json").document}
    assert (differences["status"]["before"], differences["status"]["after"]) == ("SUCCEEDED", "FAILED")
    assert differences["auc"]["after"] is None


def test_a_run_does_not_differ_from_itself(live: Deployed) -> None:
    name = latest(live.account, 1)[0].name
    assert typed("diff", name, name).out == "no difference\n"


def test_upload_watch_predict_and_url_answer_in_json(live: Deployed, tmp_path: Path) -> None:
    file = tmp_path / "again.csv"
    file.write_text("\n".join([HEADER, *ROWS[::-1]]))
    live.clear()
    bucket = live.account.outputs["DataBucket"]
    assert typed("upload", str(file), "--json").document == {"uploaded": [f"s3://{bucket}/raw/again.csv"]}
    watched = typed("watch", "--json")
    assert (watched.code, watched.document["outcome"]) == (0, "accepted"), watched.err
    assert "Preprocess" in watched.err
    assert typed("predict", "--json").document == {"prediction": "B"}
    assert typed("url", "--json").document == {"url": live.account.api_url}
    assert json.loads(typed("retrain", "--json").out)["result"] == "nothing new"


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_without_a_run_that_waits_there_is_nothing_to_answer(live: Deployed, command: str) -> None:
    answer = typed(command, "--json")
    assert (answer.code, answer.document["error"]) == (4, "NothingToDo")


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_package_whose_run_no_longer_waits_is_named_with_what_to_do(live: Deployed, command: str) -> None:
    sagemaker, group = live.account.sagemaker, live.account.outputs["ModelPackageGroup"]
    newest = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"][0]
    found = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    pending = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification=found["InferenceSpecification"],
    )["ModelPackageArn"]
    answer = typed(command)
    sagemaker.delete_model_package(ModelPackageName=pending)
    what = f"that of {pending} has ended; `ops retrain --force` trains and asks again"
    assert (answer.code, answer.err) == (4, f"error: no run waits for an approval: {what}\n")


def test_the_shell_completes_commands(tmp_path: Path) -> None:
    words = {"_OPS_COMPLETE": "complete_bash", "COMP_WORDS": "ops do", "COMP_CWORD": "1"}
    program = Path(sys.executable).parent / "ops"
    completed = subprocess.check_output([program], env={**os.environ, **words}, cwd=tmp_path, text=True)
    assert completed.split() == ["doctor"]
