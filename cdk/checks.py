"""cdk-nag at every synthesis: a finding that cdk/findings.toml does not answer ends it."""

import tomllib
from pathlib import Path

import aws_cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from constructs import IConstruct

FINDINGS = Path(__file__).with_name("findings.toml")


def add_checks(app: aws_cdk.App, stacks: dict[str, aws_cdk.Stack], project: str) -> None:
    """Check the app by both packs; `stacks` by their kind, which is a table's name in findings.toml."""
    aws_cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    findings = tomllib.loads(FINDINGS.read_text(encoding="utf-8"))
    for kind, stack in stacks.items():
        blanks = {"region": stack.region, "project": project, "stack": stack.node.id.replace("-", "")}
        for finding in findings[kind]:
            answer = aws_cdk.Acknowledgment(id=finding["rule"].format(**blanks), reason=finding["reason"])
            for place in finding["on"]:
                construct = _find(stack, place.format(**blanks))
                if construct is not None:  # what a setting leaves out needs no answer
                    aws_cdk.Validations.of(construct).acknowledge(answer)


def _find(scope: IConstruct, path: str) -> IConstruct | None:
    found: IConstruct | None = scope
    for name in path.split("/"):
        found = found.node.try_find_child(name) if found is not None else None
    return found
