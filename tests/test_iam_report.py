"""The report of grants: used, reviewed, and what is wrong."""

from typing import Any

import pytest

from tests.iam_report import report

ROLE = "stack-JobRoleF5BFD428-BF94D42967401"
DECISIONS = [
    {"role": ROLE, "action": "s3:GetObject", "resource": "b/raw/a.csv", "allowed": True},
    {"role": ROLE, "action": "s3:PutObject", "resource": "b/raw/a.csv", "allowed": False},
]
REVIEWED: dict[str, Any] = {"unused": [], "any_resource": []}


def statement(action: str, resource: str) -> dict[str, list[dict[str, Any]]]:
    return {ROLE: [{"Effect": "Allow", "Action": [action], "Resource": resource}]}


def test_a_grant_that_was_used_is_right() -> None:
    text, wrongs = report(DECISIONS, statement("s3:GetObject", "b/raw/*"), REVIEWED)
    used = "used JobRole s3:GetObject b/raw/* every grant is used or reviewed"
    assert (" ".join(text.split()), wrongs) == (used, 0)


@pytest.mark.parametrize(
    ("action", "resource", "reviewed", "wrong"),
    [
        ("s3:PutObject", "b/raw/*", [], "JobRole never uses s3:PutObject on b/raw/*: take it away or review it"),
        ("s3:GetObject", "other/*", [], "JobRole never uses s3:GetObject on other/*: take it away or review it"),
        ("s3:Get*", "b/*", [], "JobRole is granted s3:Get*: name each action"),
        ("s3:GetObject", "*", [], "JobRole is granted s3:GetObject on every resource: name them or give the reason"),
        ("s3:GetObject", "b/*", ["s3:GetObject"], "no unused grant is answered by JobRole s3:GetObject: take it out"),
    ],
)
def test_what_is_wrong_is_told(action: str, resource: str, reviewed: list[str], wrong: str) -> None:
    unused = [{"role": "JobRole", "actions": reviewed, "reason": "x"}]
    text, wrongs = report(DECISIONS, statement(action, resource), REVIEWED | {"unused": unused})
    assert (text.splitlines()[-1], wrongs) == (wrong, 1)


def test_what_is_reviewed_is_right() -> None:
    reviewed = {
        "unused": [{"role": "*", "actions": ["s3:PutObject"], "reason": "x"}],
        "any_resource": [{"actions": ["s3:PutObject"], "reason": "y"}],
    }
    text, wrongs = report(DECISIONS, statement("s3:PutObject", "*"), reviewed)
    assert (text.splitlines()[-1], wrongs) == ("every grant is used or reviewed", 0)
