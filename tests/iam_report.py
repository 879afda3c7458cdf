"""Which grants were used: `python -m tests.iam_report FOLDER REVIEWED`.

FOLDER has files that IAM_DECISIONS named (`*.jsonl`) and what `policies` gave of the roles that made them (`*.json`);
REVIEWED is a TOML file of the grants that no run here can use, each with its reason. Ends with 1 when a grant is
neither used nor reviewed, when a reviewed one is used or not granted, or when an action is a pattern.
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
                    yield Grant(logical(name), action, lasting(resource))


def lasting(resource: str) -> str:
    """A resource without the random end of its name: each local AWS that a test run starts gives it another."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=-)[0-9A-Fa-f]{13}(?![0-9A-Za-z])", "…", resource)


def logical(role: str) -> str:
    """A role's logical name: CloudFormation's `stack-LogicalName8HEXDIGITS-RANDOM` without what changes."""
    return re.sub(r"^.*?-([A-Za-z]+?)[0-9A-F]{8}-[^-]+$", r"\1", role)


def report(decisions: list[dict[str, Any]], roles: dict[str, list[dict[str, Any]]], reviewed: Any) -> tuple[str, int]:
    """The table of all grants with what is wrong below it, and the number of wrongs."""
    unused = [(entry["role"], action) for entry in reviewed["unused"] for action in entry["actions"]]
    unbounded = {action for entry in reviewed["any_resource"] for action in entry["actions"]}
    lines, wrong, needed = [], set(), set()
    for grant in dict.fromkeys(grants(roles)):
        used = any(allows(grant, decision) for decision in decisions)
        answers = {answer for answer in unused if fnmatchcase(grant.role, answer[0]) and grant.action == answer[1]}
        needed |= set() if used else answers
        state = "used" if used else "reviewed" if answers else "UNUSED"
        lines.append(f"{state:9}{grant.role:26}{grant.action:40}{grant.resource}")
        if not used and not answers:
            wrong.add(f"{grant.role} never uses {grant.action} on {grant.resource}: take it away or review it")
        if "*" in grant.action:
            wrong.add(f"{grant.role} is granted {grant.action}: name each action")
        if grant.resource == "*" and grant.action not in unbounded:
            wrong.add(f"{grant.role} is granted {grant.action} on every resource: name them or give the reason")
    wrong |= {f"no unused grant is answered by {role} {action}: take it out" for role, action in {*unused} - needed}
    return "\n".join([*lines, "", *(sorted(wrong) or ["every grant is used or reviewed"])]), len(wrong)


def allows(grant: Grant, decision: dict[str, Any]) -> bool:
    """Whether a decision was this grant's: its conditions aside, which IAM has judged."""
    return (
        decision["allowed"]
        and logical(decision["role"]) == grant.role
        and fnmatchcase(decision["action"].lower(), grant.action.lower())
        and fnmatchcase(lasting(decision["resource"]), grant.resource)
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    folder, reviewed = map(Path, arguments)
    decisions = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    roles: dict[str, list[dict[str, Any]]] = {}
    for file in folder.glob("*.json"):
        roles |= json.loads(file.read_text())
    if not roles:
        print(f"{folder} has no policies: a test run writes them (make test)", file=sys.stderr)
        return 1
    text, wrongs = report(decisions, roles, tomllib.loads(reviewed.read_text(encoding="utf-8")))
    print(text)
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
