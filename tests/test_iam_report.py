"""The report of grants: used, reviewed, and what is wrong."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.iam_report import report

ROLE = "stack-JobRoleF5BFD428-BF94D42967401"
DECISIONS = [
    {"role": ROLE, "action": "s3:GetObject", "resource": "b/raw/a.csv", "allowed": True},
    {"role": ROLE, "action": "s3:PutObject", "resource": "b/raw/a.csv", "allowed": False},
]
WRONG = tomllib.loads(Path(__file__).with_name("wrong_grants.toml").read_text("utf-8"))["wrong"]
REVIEWED: dict[str, Any] = {"unused": [], "any_resource": []}


def statement(action: str, resource: str) -> dict[str, list[dict[str, Any]]]:
    return {ROLE: [{"Effect": "Allow", "Action": [action], "Resource": resource}]}


def test_a_grant_that_was_used_is_right() -> None:
    text, wrongs = report(DECISIONS, statement("s3:GetObject", "b/raw/*"), REVIEWED)
    used = "used JobRole s3:GetObject b/raw/* every grant is used or reviewed"
    assert (" ".join(text.split()), wrongs) == (used, 0)


@pytest.mark.parametrize("case", WRONG, ids=[case["message"] for case in WRONG])
def test_what_is_wrong_is_told(case: dict[str, Any]) -> None:
    unused = [{"role": "JobRole", "actions": case["reviewed"], "reason": "x"}]
    text, wrongs = report(DECISIONS, statement(case["action"], case["resource"]), REVIEWED | {"unused": unused})
    assert (text.splitlines()[-1], wrongs) == (case["message"], 1)


def test_what_is_reviewed_is_right() -> None:
    put = {"actions": ["s3:PutObject"], "reason": "x"}
    reviewed = {"unused": [{"role": "*", **put}], "any_resource": [put]}
    text, wrongs = report(DECISIONS, statement("s3:PutObject", "*"), reviewed)
    assert (text.splitlines()[-1], wrongs) == ("every grant is used or reviewed", 0)
