"""The triggers in the template."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdk.commit import commit
from pipeline.config import load
from tests.cdk.conftest import TRIGGER, Template, of_type, synthesise
from tests.conftest import ROOT


def the(template: Template, kind: str, start: str = "Triggers") -> dict[str, Any]:
    (found,) = [item for name, item in of_type(template, kind).items() if name.startswith(start)]
    return dict(found)


def test_the_queue_waits_retries_and_gives_up_into_another(scheduled: Template) -> None:
    (dead,) = [name for name in of_type(scheduled, "AWS::SQS::Queue") if name.startswith("TriggersDeadLetters")]
    assert the(scheduled, "AWS::SQS::Queue", "TriggersQueue") == {
        "DelaySeconds": 7,
        "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]}, "maxReceiveCount": 5},
        "SqsManagedSseEnabled": True,
        "VisibilityTimeout": 180,
    }
    kept = {"MessageRetentionPeriod": 14 * 86400, "SqsManagedSseEnabled": True}
    assert the(scheduled, "AWS::SQS::Queue", "TriggersDeadLetters") == kept


def test_uploads_drift_and_the_schedule_become_requests(scheduled: Template) -> None:
    rules = [rule for name, rule in of_type(scheduled, "AWS::Events::Rule").items() if name.startswith("Triggers")]
    requests = {}
    for rule in rules:
        (target,) = rule["Targets"]
        assert set(target) >= {"Arn", "DeadLetterConfig"}
        text = target.get("Input") or target["InputTransformer"]["InputTemplate"]
        when = rule.get("ScheduleExpression") or rule["EventPattern"]["source"][0]
        requests[when] = text.replace("<detail-object-key>", '"KEY"')
    assert {when: json.loads(text) for when, text in requests.items()} == {
        "aws.s3": {"reason": "upload", "key": "KEY"},
        "breast-cancer.drift": {"reason": "drift", "force": False},
        "rate(7 days)": {"reason": "schedule"},
    }


def test_the_function_takes_batches_and_has_six_timeouts_per_message(scheduled: Template) -> None:
    mapping = the(scheduled, "AWS::Lambda::EventSourceMapping")
    named = ("BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig")
    assert [mapping[name] for name in named] == [100, 1, ["ReportBatchItemFailures"], {"MaximumConcurrency": 2}]
    function = the(scheduled, "AWS::Lambda::Function")
    variables = function["Environment"]["Variables"]
    assert {name: value for name, value in variables.items() if isinstance(value, str)} == {
        "COMMIT": commit(),
        "DATA_MARKER": "_SUCCESS",
        "DATA_PREFIX": "raw/",
        "ENDPOINT_NAME": "breast-cancer",
        "SETTINGS_HASH": load(ROOT / "pipeline.toml").model_copy(update={"trigger": TRIGGER}).hash,
    }
    assert function["Timeout"] * 6 == the(scheduled, "AWS::SQS::Queue", "TriggersQueue")["VisibilityTimeout"]


def test_the_package_holds_the_function_alone(path_of: Callable[[str], Path], scheduled: Template) -> None:
    key = the(scheduled, "AWS::Lambda::Function")["Code"]["S3Key"]
    asset = path_of("scheduled").parent / f"asset.{key.removesuffix('.zip')}"
    assert sorted(str(path.relative_to(asset)) for path in asset.rglob("*") if path.is_file()) == [
        f"trigger/{name}.py" for name in ("__init__", "handler", "listing", "preprocessed", "scoring", "start")
    ]


def test_the_commit_is_the_builds_own_when_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEBUILD_RESOLVED_SOURCE_VERSION", "c0ffee")
    assert commit() == "c0ffee"


def test_what_is_live_is_checked_when_it_is_in_service_and_when_a_deployment_did_not_succeed(
    template: Template,
) -> None:
    rules = {name: rule for name, rule in of_type(template, "AWS::Events::Rule").items() if name.startswith("FinishOn")}
    (check,) = [name for name in of_type(template, "AWS::Lambda::Function") if name.startswith("FinishCheck")]
    found = [rule for rule in rules.values() if rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [check, "Arn"]}]
    patterns = {rule["EventPattern"]["source"][0]: rule["EventPattern"] for rule in found}
    deploy = {"Ref": next(name for name in of_type(template, "AWS::StepFunctions::StateMachine") if "Deploy" in name)}
    assert patterns["aws.sagemaker"]["detail-type"] == ["SageMaker Endpoint State Change"]
    assert {source: pattern["detail"] for source, pattern in patterns.items()} == {
        "aws.sagemaker": {"EndpointName": ["breast-cancer"], "EndpointStatus": ["IN_SERVICE"]},
        "aws.states": {"stateMachineArn": [deploy], "status": ["ABORTED", "TIMED_OUT", "FAILED"]},
    }
    assert all(set(rule["Targets"][0]) >= {"Arn", "DeadLetterConfig"} for rule in found)


@pytest.mark.full
def test_batch_scoring_waits_for_its_schedule_and_can_be_off(tmp_path: Path) -> None:
    shipped, found = load(ROOT / "pipeline.toml"), {}
    for name, change in {"off": {"enabled": False}, "daily": {"schedule": "rate(1 day)"}}.items():
        settings = shipped.model_copy(update={"score": shipped.score.model_copy(update=change)})
        template = json.loads(synthesise(settings, tmp_path / name).read_text())
        found[name] = {key: item for key, item in template["Resources"].items() if key.startswith("Score")}
    rules = [item["Properties"] for item in found["daily"].values() if item["Type"] == "AWS::Events::Rule"]
    ((rule, target),) = [(each, *each["Targets"]) for each in rules]
    assert (rule["ScheduleExpression"], json.loads(target["Input"])) == ("rate(1 day)", {"reason": "schedule"})
    assert found["off"] == {}
