"""The claims of docs/security.md that no other test reads off the template or the rendered requests."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from cdk.api.protection import MANAGED
from pipeline.__main__ import MACHINES
from pipeline.config import load
from pipeline.settings import Serverless
from tests.cdk.conftest import Template, as_list, of_type, statements, synthesise
from tests.cdk.test_delivery import connection, delivered
from tests.conftest import ROOT
from tests.pipeline.asl import tasks

KEY = {"Fn::GetAtt": ["DataKey5F086070", "Arn"]}
CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
MD5 = "0123456789abcdef" * 2
RESERVED = "ReservedConcurrentExecutions"
OUTPUTS = ("OutputDataConfig", "ProcessingOutputConfig", "TransformOutput", "DataCaptureConfig")


@pytest.fixture(scope="module")
def requests() -> dict[str, dict[str, Any]]:
    """The rendered request of each task by its name, of all machines."""
    settings = load(ROOT / "pipeline.toml", "prod")
    return {name: state["Parameters"] for each in MACHINES.values() for name, state in tasks(each(settings))}


def within(value: Any, name: str) -> Iterator[Any]:
    """Every value of this name in a document."""
    if isinstance(value, dict):
        yield from (found for key, item in value.items() for found in ([item] if key == name else within(item, name)))
    elif isinstance(value, list):
        yield from (found for item in value for found in within(item, name))


def test_every_job_and_model_is_isolated_from_the_network(requests: dict[str, dict[str, Any]]) -> None:
    isolated = {name for name, request in requests.items() if True in within(request, "EnableNetworkIsolation")}
    members = ("ProcessingJobName.$", "TrainingJobName.$", "ExecutionRoleArn")
    running = {name for name, request in requests.items() if any(member in request for member in members)}
    assert isolated == running == {"Preprocess", "Train", "CreateModel", "Evaluate", "MeasureDrift", "Prepare", "Join"}


def test_every_job_writes_with_the_key_and_every_volume_has_it(requests: dict[str, dict[str, Any]]) -> None:
    outputs = [request[name] for request in requests.values() for name in OUTPUTS if name in request]
    keys = [*within(outputs, "KmsKeyId"), *within(list(requests.values()), "VolumeKmsKeyId")]
    assert (len(outputs), len(keys), set(keys)) == (10, 19, {"${DataKey}"})
    assert requests["CreateEndpointConfig"]["KmsKeyId"] == "${DataKey}"


def test_the_data_is_encrypted_private_reached_by_tls_and_its_key_rotates(template: Template) -> None:
    (key,) = of_type(template, "AWS::KMS::Key").values()
    assert key["EnableKeyRotation"] is True
    buckets = of_type(template, "AWS::S3::Bucket")
    assert [bucket["PublicAccessBlockConfiguration"] for bucket in buckets.values()] == [CLOSED] * 2
    data = next(bucket for name, bucket in buckets.items() if name.startswith("DataBucket"))
    (rule,) = data["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert data["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(data["LoggingConfiguration"]) == {"DestinationBucketName", "LogFilePrefix"}
    assert all(bucket["LifecycleConfiguration"]["Rules"] for bucket in buckets.values())
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    for kind, count in (("AWS::S3::BucketPolicy", 2), ("AWS::SNS::TopicPolicy", 1), ("AWS::SQS::QueuePolicy", 2)):
        policies = [item["PolicyDocument"]["Statement"] for item in of_type(template, kind).values()]
        denied = [each for policy in policies for each in policy if each["Effect"] == "Deny"]
        assert [each["Condition"] for each in denied] == [plain] * count
    (topic,) = of_type(template, "AWS::SNS::Topic").values()
    (table,) = of_type(template, "AWS::DynamoDB::Table").values()
    assert (topic["KmsMasterKeyId"], table["SSESpecification"]["KMSMasterKeyId"]) == (KEY, KEY)
    recovery = {"PointInTimeRecoveryEnabled": True}
    assert (table["BillingMode"], table["PointInTimeRecoverySpecification"]) == ("PAY_PER_REQUEST", recovery)


def test_captured_requests_and_the_rows_of_runs_expire(template: Template, requests: dict[str, dict[str, Any]]) -> None:
    data = next(
        bucket for name, bucket in of_type(template, "AWS::S3::Bucket").items() if name.startswith("DataBucket")
    )
    replaced, *expired = data["LifecycleConfiguration"]["Rules"]
    assert replaced["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    days = {rule["Prefix"]: (rule["ExpirationInDays"], rule["Status"]) for rule in expired}
    kept = dict.fromkeys(("data-capture/", "ground-truth/", "rows/"), (90, "Enabled"))
    assert days == {**kept, "preprocessed/": (30, "Enabled")}
    # What must not expire while its model can go live: its artifacts, its baseline and its evaluation.
    written = [*within(requests, "S3Uri.$"), *within(requests, "S3OutputPath.$"), *within(requests, "ModelDataUrl.$")]
    kept = {uri.split("runs/{}/")[1].split("'")[0].split("/")[0] for uri in written if "runs/{}" in uri}
    assert kept == {"listing", "model", "baseline", "evaluation", "drift", "window", "request", "counts"}
    assert (
        requests["CreateEndpointConfig"]["DataCaptureConfig"]["DestinationS3Uri"] == "s3://${DataBucket}/data-capture"
    )


def test_the_roles_of_a_serverless_stack_reach_no_captured_requests_and_no_schedule_checks_them(tmp_path: Path) -> None:
    shipped = load(ROOT / "pipeline.toml")
    serverless = Serverless(memory_mb=1024, max_concurrency=5)
    changes: dict[str, dict[str, Any]] = {
        "endpoint": {"instance_type": "", "serverless": serverless, "capture_percent": 0},
        "drift": {"schedule": ""},
    }
    tables = {name: getattr(shipped, name).model_copy(update=values) for name, values in changes.items()}
    template = json.loads(synthesise(shipped.model_copy(update=tables), tmp_path).read_text())
    text = json.dumps(list(of_type(template, "AWS::IAM::Policy").values()))
    assert ("/data-capture/*" in text, "/rows/*" in text) == (False, True)
    assert not any("ScheduleExpression" in rule for rule in of_type(template, "AWS::Events::Rule").values())
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    assert ("ModelSetupTime" in str(dashboard), "CPUUtilization" in str(dashboard)) == (True, False)


def test_uploads_expire_by_setting(tmp_path: Path) -> None:
    shipped = load(ROOT / "pipeline.toml")
    kept = shipped.stack.model_copy(update={"capture_days": 0, "rows_days": 0, "cache_days": 0, "upload_days": 30})
    template = json.loads(synthesise(shipped.model_copy(update={"stack": kept}), tmp_path).read_text())
    (data,) = (item for item in of_type(template, "AWS::S3::Bucket").values() if "VersioningConfiguration" in item)
    (_, *rules) = data["LifecycleConfiguration"]["Rules"]
    prefixes = ("raw/", "score/", "scored/")
    assert rules == [{"Prefix": prefix, "ExpirationInDays": 30, "Status": "Enabled"} for prefix in prefixes]


def test_roles_are_passed_to_sagemaker_alone(template: Template) -> None:
    policies = of_type(template, "AWS::IAM::Policy").values()
    found = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    passed = [each for each in found if "iam:PassRole" in as_list(each["Action"])]
    condition = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    role = {"Fn::GetAtt": ["JobsRole621A81E5", "Arn"]}
    assert [(each["Resource"], each["Condition"]) for each in passed] == [(role, condition)] * 4


def test_the_role_of_the_deploy_machine_alone_may_change_the_endpoint(template: Template) -> None:
    changes = {f"sagemaker:{action}Endpoint" for action in ("Create", "Update", "Delete")}
    may = {
        role["Ref"]: changes
        & {each for item in policy["PolicyDocument"]["Statement"] for each in as_list(item["Action"])}
        for policy in of_type(template, "AWS::IAM::Policy").values()
        for role in policy["Roles"]
    }
    assert {role[:-8]: found for role, found in may.items() if found} == {"DeployMachineRole": changes}


def test_no_role_reaches_what_a_project_made_whose_name_begins_alike(template: Template) -> None:
    """Nor do cleanup and `ops destroy`, whose rule is the settings'."""
    policies = of_type(template, "AWS::IAM::Policy").values()
    joined = [parts for _, parts in within(list(policies), "Fn::Join")]
    patterns = ["".join(part if isinstance(part, str) else "{}" for part in parts) for parts in joined]
    own = re.compile(load(ROOT / "pipeline.toml").project.made)
    for project, reached in (("breast-cancer", True), ("breast-cancer-eu", False)):
        names = [
            f":model/{project}-{MD5}",
            f":endpoint-config/{project}-{MD5}",
            f":endpoint/{project}",
            f":training-job/{project}-train-{MD5}-5",
            f":model/{project}-batch-{MD5}",
            *(
                f":processing-job/{project}-{kind}-{MD5}-0"
                for kind in ("preprocess", "evaluate", "drift", "prepare", "join")
            ),
            *(f":transform-job/{project}-{kind}-{MD5}-1" for kind in ("score", "champion", "batch")),
            f":log-group:/aws/sagemaker/Endpoints/{project}:log-stream:",
        ]
        services = {name: "logs" if "log-group" in name else "sagemaker" for name in names}
        arns = {name: f"arn:{{}}:{service}:us-east-1:{{}}{name}" for name, service in services.items()}
        may = {name: any(fnmatchcase(arn, pattern) for pattern in patterns) for name, arn in arns.items()}
        assert may == dict.fromkeys(names, reached)
        assert bool(own.fullmatch(f"{project}-{MD5}")) == reached
    functions = of_type(template, "AWS::Lambda::Function").values()
    (cleanup,) = (each for each in functions if each["Handler"] == "cleanup.handler.handle")
    assert cleanup["Environment"]["Variables"]["OWN_NAMES"] == own.pattern


def test_the_api_may_only_ask_the_model_and_read_its_documents_and_cannot_start_a_run(template: Template) -> None:
    actions = {each for item in statements(template, "ServingPredictRole") for each in as_list(item["Action"])}
    asked = {each for each in actions if each.split(":")[0] not in ("logs", "xray")}
    names = ("InvokeEndpoint", "DescribeEndpoint", "ListTags", "DescribeModelPackage")
    assert asked == {"s3:GetObject", "kms:Decrypt", *(f"sagemaker:{name}" for name in names)}
    (read,) = (item for item in statements(template, "ServingPredictRole") if item["Action"] == "s3:GetObject")
    places = [resource["Fn::Join"][1][1] for resource in read["Resource"]]
    assert places == ["/runs/*/evaluation/explanation.json", "/signatures/*"]


def test_executions_calls_and_functions_are_logged_and_traced_without_bodies(template: Template) -> None:
    for machine in of_type(template, "AWS::StepFunctions::StateMachine").values():
        logging = machine["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
        assert machine["TracingConfiguration"] == {"Enabled": True}
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert (function["TracingConfig"], function["LoggingConfig"]["LogFormat"]) == ({"Mode": "Active"}, "JSON")
        assert (function["Runtime"], "VpcConfig" in function) == ("python3.12", False)
    (stage,) = of_type(template, "AWS::ApiGateway::Stage").values()
    (method,) = stage["MethodSettings"]
    assert (stage["TracingEnabled"], method["DataTraceEnabled"], "LoggingLevel" in method) == (True, False, False)
    assert "$context.requestId" in stage["AccessLogSetting"]["Format"]
    assert "CacheClusterEnabled" not in stage


def test_the_controls_that_are_not_met_are_those_that_the_document_lists(
    template: Template, with_vpc: Template
) -> None:
    """One that is met now is to be moved to the table of those that are."""
    (stage,) = of_type(template, "AWS::ApiGateway::Stage").values()
    (api,) = of_type(template, "AWS::ApiGateway::RestApi").values()
    (logs,) = (item for item in of_type(template, "AWS::S3::Bucket").values() if "VersioningConfiguration" not in item)
    (encryption,) = logs["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (table,) = of_type(template, "AWS::DynamoDB::Table").values()
    open_calls = ("/health", "/openapi.json", "/docs")
    not_met = {
        "APIGateway.1": "LoggingLevel" not in stage["MethodSettings"][0],
        "APIGateway.2": "ClientCertificateId" not in stage,
        "DynamoDB.6": "DeletionProtectionEnabled" not in table,
        "EC2.2": not of_type(with_vpc, "AWS::EC2::SecurityGroupIngress"),
        "EC2.10": [item["VpcEndpointType"] for item in of_type(with_vpc, "AWS::EC2::VPCEndpoint").values()]
        == ["Gateway"],
        "Lambda.3": all("VpcConfig" not in item for item in of_type(template, "AWS::Lambda::Function").values()),
        "S3.9": "LoggingConfiguration" not in logs,
        "S3.14": "VersioningConfiguration" not in logs,
        "S3.17": encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"},
    }
    assert not_met == dict.fromkeys(not_met, True)
    assert [api["Body"]["paths"][path]["get"]["security"] for path in open_calls] == [[]] * 3
    listed = (ROOT / "docs/security.md").read_text().partition("### Controls that are not met")[2].partition("\n#")[0]
    assert set(re.findall(r"^\| ([A-Z]\w+\.\d+)", listed, re.M)) == {*not_met, "CloudFormation.1"}


def test_waf_has_managed_rules_and_limits_the_calls_of_an_address(protected: Template) -> None:
    (acl,) = of_type(protected, "AWS::WAFv2::WebACL").values()
    rate, *managed = acl["Rules"]
    limit = {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 300}
    assert (rate["Action"], rate["Statement"]["RateBasedStatement"]) == ({"Block": {}}, limit)
    groups = [rule["Statement"]["ManagedRuleGroupStatement"] for rule in managed]
    assert [group["Name"] for group in groups] == MANAGED
    counted = [(group["Name"], rule) for group in groups for rule in group.get("RuleActionOverrides", [])]
    batch = {"ActionToUse": {"Count": {}}, "Name": "SizeRestrictions_BODY"}
    assert counted == [("AWSManagedRulesCommonRuleSet", batch)]
    assert not any(rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in acl["Rules"])
    (association,) = of_type(protected, "AWS::WAFv2::WebACLAssociation").values()
    (stage,) = of_type(protected, "AWS::ApiGateway::Stage")
    assert {"Ref": stage} in association["ResourceArn"]["Fn::Join"][1]


def test_a_usage_plan_counts_calls_by_key_with_a_daily_quota_and_concurrency_is_reserved(protected: Template) -> None:
    functions = of_type(protected, "AWS::Lambda::Function").values()
    reserved = {item["Handler"]: item[RESERVED] for item in functions if RESERVED in item}
    assert reserved == {"predict.handler.handle": 20}
    (plan,) = of_type(protected, "AWS::ApiGateway::UsagePlan").values()
    limits = {"Limit": 1000, "Period": "DAY"}, {"BurstLimit": 100, "RateLimit": 50}
    assert (plan["Quota"], plan["Throttle"]) == limits
    assert len(of_type(protected, "AWS::ApiGateway::UsagePlanKey")) == 1
    (api,) = of_type(protected, "AWS::ApiGateway::RestApi").values()
    assert api["Body"]["paths"]["/predictions"]["post"]["security"] == [{"caller": [], "key": []}]


def test_only_aws_services_of_this_account_may_invoke_a_function(template: Template) -> None:
    permissions = of_type(template, "AWS::Lambda::Permission").values()
    assert {item["Principal"] for item in permissions} == {"apigateway.amazonaws.com", "events.amazonaws.com"}
    assert all("SourceArn" in item for item in permissions)


def test_the_vpc_has_flow_logs(with_vpc: Template) -> None:
    (flow,) = of_type(with_vpc, "AWS::EC2::FlowLog").values()
    assert (flow["TrafficType"], flow["LogDestinationType"]) == ("ALL", "s3")


def test_prod_has_the_guards_that_the_document_names() -> None:
    prod = load(ROOT / "pipeline.toml", "prod")
    assert (prod.release.approval, prod.release.rollout, prod.network.vpc) == ("manual", "canary", True)
    assert (prod.api.auth, prod.api.rollout, prod.api.waf_rate > 0) == ("iam", "canary", True)
    assert (prod.endpoint.instance_count >= 2, prod.stack.monthly_budget > 0, prod.stack.keep_data) == (True,) * 3


def test_a_pull_request_can_deploy_nothing_and_leaves_nothing_in_a_shared_cache(tmp_path: Path) -> None:
    template = delivered(tmp_path, repository="team/pipeline", connection=connection("codeconnections"))
    actions = {each for item in statements(template, "PullRequestsRole") for each in as_list(item["Action"])}
    assert {each.split(":")[0] for each in actions} == {"logs", "codebuild", "kms"}
    projects = of_type(template, "AWS::CodeBuild::Project").values()
    assert {project["Cache"]["Type"] for project in projects} == {"LOCAL"}
    for project in projects:
        assert project["Environment"].get("PrivilegedMode", False) is False
        assert "EnvironmentVariables" not in project["Environment"]
        assert ("EncryptionKey" in project, set(project["LogsConfig"])) == (True, {"CloudWatchLogs"})


def test_every_package_is_pinned_by_its_hash() -> None:
    for name in ("requirements.txt", "requirements-bench.txt", "requirements-checks.txt"):
        packages = re.split(r"\n(?=\S)", (ROOT / name).read_text())
        assert [each for each in packages if "==" in each and "--hash=sha256:" not in each] == []
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert [name for name, package in locked.items() if name and "integrity" not in package] == []
