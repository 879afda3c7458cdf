"""cdk-nag at every synthesis: a finding that cdk/findings.toml does not answer ends it."""

import tomllib
from fnmatch import fnmatchcase
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
        account = "<AWS::AccountId>" if aws_cdk.Token.is_unresolved(stack.account) else stack.account
        blanks = {"region": stack.region, "account": account, "project": project}
        for finding in findings.get(kind, []):
            answer = aws_cdk.Acknowledgment(id=finding["rule"].format(**blanks), reason=finding["reason"])
            for place in finding["on"]:
                construct = _find(stack, place)
                if construct is not None:  # what a setting leaves out needs no answer
                    aws_cdk.Validations.of(construct).acknowledge(answer)


def _find(scope: IConstruct, path: str) -> IConstruct | None:
    for name in path.split("/"):
        fitting = (child for child in scope.node.children if fnmatchcase(child.node.id, name))
        found = next(fitting, None)
        if found is None:
            return None
        scope = found
    return scope
