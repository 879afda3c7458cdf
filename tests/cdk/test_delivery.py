"""The delivery stack: it passes cdk-nag and cfn-lint, and every role that clones may use the connection in time."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdk.delivery import build
from pipeline.config import load
from tests.cdk.conftest import Template, of_type
from tests.conftest import ROOT

NAMES = ("codeconnections", "codestar-connections")


def delivered(out: Path, **settings: str) -> Template:
    shipped = load(ROOT / "pipeline.toml")
    delivery = shipped.delivery.model_copy(update=settings)
    build(shipped.model_copy(update={"delivery": delivery}), region="us-east-1", out=out).synth()
    return dict(json.loads((out / "breast-cancer-delivery.template.json").read_text()))


def connection(name: str) -> str:
    return f"arn:aws:{name}:us-east-1:123456789012:connection/x"


@pytest.fixture(scope="module", params=NAMES)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    arn = connection(request.param)
    return delivered(tmp_path_factory.mktemp("out"), repository="team/pipeline", connection=arn)


def test_it_needs_a_repository_and_a_connection(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set repository and connection"):
        delivered(tmp_path)


def test_every_role_that_clones_may_use_the_connection_by_both_names_of_its_service(template: Template) -> None:
    projects = of_type(template, "AWS::CodeBuild::Project").values()
    builds = {project["ServiceRole"]["Fn::GetAtt"][0] for project in projects}
    (pipeline,) = of_type(template, "AWS::CodePipeline::Pipeline").values()
    (source,) = [action for stage in pipeline["Stages"] for action in stage["Actions"] if action["Name"] == "Source"]
    (policy,) = granting(template, "GetConnectionToken").values()
    assert {role["Ref"] for role in policy["Roles"]} == {*builds, source["RoleArn"]["Fn::GetAtt"][0]}
    actions = ("GetConnection", "GetConnectionToken", "UseConnection")
    allowed = [f"{name}:{action}" for name in NAMES for action in actions]
    statement = {"Effect": "Allow", "Action": allowed, "Resource": list(map(connection, NAMES))}
    assert policy["PolicyDocument"]["Statement"] == [statement]


def granting(template: Template, action: str) -> dict[str, Any]:
    return {name: item for name, item in of_type(template, "AWS::IAM::Policy").items() if action in json.dumps(item)}


def test_the_connection_can_be_used_before_the_project_and_its_webhook_are_created(template: Template) -> None:
    projects = [item for item in template["Resources"].values() if item["Type"] == "AWS::CodeBuild::Project"]
    (tester,) = [item for item in projects if "Triggers" in item["Properties"]]
    auth = tester["Properties"]["Source"]["Auth"]
    assert (auth["Type"], auth["Resource"] in map(connection, NAMES)) == ("CODECONNECTIONS", True)
    (policy,) = granting(template, "GetConnectionToken")
    assert policy in tester["DependsOn"]


def test_only_who_may_write_to_the_repository_starts_the_build_of_a_pull_request(template: Template) -> None:
    """The build runs the pull request's code, and its role may get a token of the connection."""
    projects = of_type(template, "AWS::CodeBuild::Project").values()
    (triggers,) = (project["Triggers"] for project in projects if "Triggers" in project)
    trusted = {f"GITHUB_{role}" for role in ("WRITE", "MAINTAIN", "ADMIN")}
    policy = triggers["PullRequestBuildPolicy"]
    assert (policy["RequiresCommentApproval"], set(policy["ApproverRoles"])) == ("ALL_PULL_REQUESTS", trusted)
    kinds = {each["Pattern"] for group in triggers["FilterGroups"] for each in group if each["Type"] == "EVENT"}
    assert kinds == {"PULL_REQUEST_CREATED, PULL_REQUEST_UPDATED"}
