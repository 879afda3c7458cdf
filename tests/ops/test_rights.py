"""Each `ops` command as a user who has the rights that docs/deploy.md lists, and no others."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ops.__main__ import app
from ops.doctor import OPTIONAL
from ops.runs import latest
from tests.conftest import ROOT, WDBC, Deployed
from tests.ops.typing import HEADER, ROWS, typed

pytestmark = pytest.mark.cloud
ALWAYS = ("`ops`", "`ops upload`, `ops data`")
ROWS_OF_OPS = (*ALWAYS, "`ops doctor`, `ops report`")
DESTROY = "`make destroy`"
ELSEWHERE = {"bootstrap", "console", "destroy", "init"}
"""Of an administrator; the same calls as `ops status`, until it is stopped; in tests/test_lifecycle.py; calls no AWS."""


def rights(*commands: str) -> Iterator[tuple[str, str]]:
    """The actions that the document lists for these commands, each with the words that say on what."""
    text = (ROOT / "docs/deploy.md").read_text().split("| command | permissions |")[1].partition("\n\n")[0]
    command = ""
    for row in text.splitlines()[2:]:
        named, listed = (cell.strip() for cell in row.strip("|").split("|", 1))
        command = named or command
        for part in listed.split(";") if command in commands else ():
            service, (actions, _, on) = "", part.partition(" on ")
            for action in re.findall(r"`([\w-]+:\w+\*?|[A-Z]\w+\*?)`", actions):
                service = action.partition(":")[0] if ":" in action else service
                yield f"{service}:{action.rpartition(':')[2]}", on


def statements(outputs: dict[str, str], *commands: str) -> list[dict[str, Any]]:
    """The policy's statements; `outputs` are the stack's."""
    bucket, arn = outputs["DataBucket"], "arn:aws:{}:us-east-1:123456789012:{}"
    places = {
        "": ["*"],
        "the data bucket": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "its key": [arn.format("kms", "key/*")],
        "the lease": [arn.format("dynamodb", f"table/{outputs['Lease']}")],
        "the API": [arn.format("execute-api", "*")],
        "the `trigger` function": [arn.format("lambda", f"function:{outputs['TriggerFunction']}")],
        "the topic": [outputs["Topic"]],
    }
    return [{"Effect": "Allow", "Action": action, "Resource": places[on]} for action, on in rights(*commands)]


def key_of_user(iam: Any, allowed: list[dict[str, Any]]) -> dict[str, str]:
    """The credentials, as environment variables, of a new user `operator` with this policy."""
    iam.create_user(UserName="operator")
    document = {"Version": "2012-10-17", "Statement": allowed}
    iam.put_user_policy(UserName="operator", PolicyName="listed", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture(params=[ROWS_OF_OPS])
def user(live: Deployed, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """The pipeline, whose commands are now those of a user with the rights of these rows of the document."""
    iam = live.client("iam")
    key = key_of_user(iam, statements(live.account.outputs, *request.param))
    for name, value in key.items():
        monkeypatch.setenv(name, value)
    yield live
    iam.delete_access_key(UserName="operator", AccessKeyId=key["AWS_ACCESS_KEY_ID"])
    for policy in iam.list_user_policies(UserName="operator")["PolicyNames"]:
        iam.delete_user_policy(UserName="operator", PolicyName=policy)
    iam.delete_user(UserName="operator")


def test_the_listed_rights_are_those_of_the_document() -> None:
    found = list(rights(*ROWS_OF_OPS))
    assert ("s3:ListBucket", "the data bucket") in found
    assert ("sagemaker:Describe*", "") in found
    assert ("servicequotas:ListServiceQuotas", "") in found
    assert len(found) > 25
    assert ("kms:ScheduleKeyDeletion", "") in rights(DESTROY)


def test_a_user_without_these_rights_is_refused(user: Deployed) -> None:
    """Otherwise the next test would hold for any list."""
    user.client("iam").delete_user_policy(UserName="operator", PolicyName="listed")
    answer = typed("status")
    assert (answer.code, "not authorized to perform: cloudformation:DescribeStacks" in answer.err) == (1, True)


@pytest.mark.parametrize("user", [ALWAYS], indirect=True)
def test_without_the_optional_rights_the_doctor_says_what_it_did_not_check(user: Deployed) -> None:
    found = {check["name"]: check for check in typed("doctor", "--json").document}
    assert {name: found[name]["fix"] for name in OPTIONAL} == dict.fromkeys(OPTIONAL, "")
    # The local AWS does not enforce lambda:GetAccountSettings, and `ops` itself has apigateway:GET.
    assert found["bootstrap"]["found"].startswith("not checked: ")


def live_runs(live: Deployed) -> list[str]:
    """The names of the runs, newest first."""
    return [run.name for run in latest(live.account, 5)]


def test_every_command_runs_with_the_rights_that_the_document_lists(user: Deployed, tmp_path: Path) -> None:
    again, truth = tmp_path / "again.csv", tmp_path / "truth.csv"
    again.write_text("\n".join([HEADER, *ROWS[::-1]]))
    truth.write_text("inference_id,row,label\nnobody,1,B\n")
    user.clear()
    commands = (
        *(f"upload {again}", "watch", "data list", "data remove again.csv", "data restore again.csv"),
        *(
            "retrain --force",
            "watch",
            f"check {shlex.quote(str(WDBC))}",
            "predict",
            f"predict --file {again}",
            "url",
            "runs",
            "plan",
            "diff {run} {run}",
            "status",
        ),
        *("logs", "score", f"report --no-open --out {tmp_path}", f"feedback {truth}", "drift --now", "drift"),
        *("approve", "reject", "doctor", "rollback"),
    )
    known = set(getattr(typer.main.get_command(app), "commands", {}))
    assert {command.split()[0] for command in commands} == known - ELSEWHERE
    refused = {}
    for command in commands:
        run = next(iter(live_runs(user)), "") if "{run}" in command else ""
        answer = typed(*shlex.split(command.format(run=run)))
        told = answer.out + answer.err
        # The doctor ends with 1 when it found a fault, such as the alarm of the drift check above.
        if (answer.code == 1 and command != "doctor") or re.search("not authorized|AccessDenied", told):
            refused[command] = told
    assert refused == {}
