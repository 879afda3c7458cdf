"""cdk-nag at every synthesis: a finding that cdk/nag_suppressions.toml does not suppress is an error."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import aws_cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from constructs import IConstruct

SUPPRESSIONS = Path(__file__).with_name("nag_suppressions.toml")


def add_checks(app: aws_cdk.App, stack: aws_cdk.Stack, kind: str, project: str) -> None:
    """Check the app with both rule packs, with the suppressions of the table `kind`."""
    aws_cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    account = "<AWS::AccountId>" if aws_cdk.Token.is_unresolved(stack.account) else stack.account
    for suppression in tomllib.loads(SUPPRESSIONS.read_text(encoding="utf-8"))[kind]:
        for path in suppression["on"]:
            construct = _find(stack, path)
            owner = _find(stack, path.partition("/")[0] + "/Resource")
            logical_id = stack.get_logical_id(owner) if isinstance(owner, aws_cdk.CfnElement) else ""
            if construct is None:  # a setting left it out
                continue
            for rule in suppression["rules"]:
                name = rule.format(region=stack.region, account=account, project=project, owner=logical_id)
                finding = f"{name.partition('-')[0]}::{name}"
                answer = aws_cdk.Acknowledgment(id=finding, reason=suppression["reason"])
                aws_cdk.Validations.of(construct).acknowledge(answer)


def _find(scope: IConstruct, path: str) -> IConstruct | None:
    for name in path.split("/"):
        found = [child for child in scope.node.children if fnmatchcase(child.node.id, name)]
        if not found:
            return None
        scope = found[0]
    return scope
