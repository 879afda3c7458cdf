"""Which grants were used: `python -m local.grants DECISIONS POLICIES REVIEWED`.

DECISIONS is the file of IAM_DECISIONS, POLICIES what `policies` gives of the roles that made them, REVIEWED a TOML
file of the grants that no run here can use, each with its reason. Ends with 1 when a grant is neither used nor
reviewed, when a reviewed one is used or not granted, or when an action is a pattern.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Grant:
    """One action on one resource pattern; the role by its logical name."""

    role: str
    action: str
    resource: str


def policies(iam: Any, stack: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of each role of a stack, managed policies included; `iam` is a boto3 client of IAM."""
    found = {}
    for page in iam.get_paginator("list_roles").paginate():
        for name in [role["RoleName"] for role in page["Roles"] if role["RoleName"].startswith(f"{stack}-")]:
            documents = [
                iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
            ]
            for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
                arn = attached["PolicyArn"]
                version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                documents.append(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
            found[name] = [statement for document in documents for statement in _list(document["Statement"])]
    return found


def grants(roles: dict[str, list[dict[str, Any]]]) -> Iterator[Grant]:
    """Each grant of the roles' statements."""
    for name, statements in sorted(roles.items()):
        for statement in statements:
            for action in _list(statement["Action"]):
                for resource in _list(statement["Resource"]):
                    yield Grant(logical(name), action, resource)


def logical(role: str) -> str:
    """A role's logical name: CloudFormation's `stack-LogicalName8HEXDIGITS-RANDOM` without what changes."""
    return re.sub(r"^.*?-([A-Za-z]+?)[0-9A-F]{8}-[^-]+$", r"\1", role)


def report(decisions: list[dict[str, Any]], roles: dict[str, list[dict[str, Any]]], reviewed: Any) -> tuple[str, int]:
    """The table of all grants with what is wrong below it, and the number of wrongs."""
    reasons = {(entry["role"], action): entry["reason"] for entry in reviewed["unused"] for action in entry["actions"]}
    lines, wrong, unbounded = [], [], {entry["action"]: entry["reason"] for entry in reviewed["any_resource"]}
    granted = list(grants(roles))
    for grant in granted:
        used = any(
            each["allowed"]
            and logical(each["role"]) == grant.role
            and fnmatchcase(each["action"].lower(), grant.action.lower())
            and fnmatchcase(each["resource"], grant.resource)
            for each in decisions
        )
        reason = reasons.pop((grant.role, grant.action), None) if used else reasons.get((grant.role, grant.action))
        state = "used" if used else "reviewed" if reason else "UNUSED"
        lines.append(f"{state:9}{grant.role:28}{grant.action:40}{grant.resource}")
        if used and reason:
            wrong.append(f"{grant.role} uses {grant.action}: take it out of the reviewed file")
        if state == "UNUSED":
            wrong.append(f"{grant.role} never uses {grant.action} on {grant.resource}: take it away or review it")
        if "*" in grant.action:
            wrong.append(f"{grant.role} is granted {grant.action}: name each action")
        if grant.resource == "*" and grant.action not in unbounded:
            wrong.append(f"{grant.role} is granted {grant.action} on every resource: name them or give the reason")
    for role, action in reasons.keys() - {(grant.role, grant.action) for grant in granted}:
        wrong.append(f"{role} is not granted {action}: take it out of the reviewed file")
    return "\n".join([*lines, "", *(sorted(set(wrong)) or ["every grant is used or reviewed"])]), len(set(wrong))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    try:
        decided, roles, reviewed = (Path(name).read_text(encoding="utf-8") for name in arguments)
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: a test run writes it (make test)", file=sys.stderr)
        return 1
    decisions = [json.loads(line) for line in decided.splitlines()]
    text, wrongs = report(decisions, json.loads(roles), tomllib.loads(reviewed))
    print(text)
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
