"""The app that `cdk synth` and `cdk deploy` run."""

import fnmatch
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import aws_cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from cdk.regions import check_region
from cdk.stack import PipelineStack
from pipeline.config import Settings, load

FLAGS = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-s3:createDefaultLoggingPolicy": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
}
"""CDK feature flags that the template depends on; here rather than in cdk.json, so that tests see them too."""
SUPPRESSIONS = Path(__file__).with_name("nag_suppressions.toml")
"""The findings of cdk-nag that are accepted: any other is an error."""


def build(
    settings: Settings,
    *,
    region: str,
    account: str | None = None,
    out: Path | None = None,
    stack: Callable[..., aws_cdk.Stack] = PipelineStack,
    suffix: str = "",
) -> aws_cdk.App:
    """Return an app with the stack `{project}{suffix}`, checked by cdk-nag. Raises ValueError as `check_region`."""
    app = aws_cdk.App(context=FLAGS, outdir=str(out) if out else None, analytics_reporting=False)
    project, environment = settings.project.name, aws_cdk.Environment(account=account, region=region)
    made = stack(app, f"{project}{suffix}", settings, env=environment)
    check_region(made, settings, region)
    add_checks(app, made, "delivery" if suffix else "pipeline", project)
    return app


def synthesise(build: Callable[..., aws_cdk.App], stage: str | None = None) -> None:
    """Synthesise for the region that the CDK CLI or the environment names; needs no credentials."""
    region = os.environ.get("CDK_DEFAULT_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    settings = load(os.environ.get("PIPELINE_CONFIG", "pipeline.toml"), stage)
    build(settings, region=region, account=os.environ.get("CDK_DEFAULT_ACCOUNT")).synth()


def add_checks(app: aws_cdk.App, stack: aws_cdk.Stack, kind: str, project: str) -> None:
    """Check the app with both rule packs, with the suppressions of the table `kind`."""
    aws_cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    account = "<AWS::AccountId>" if aws_cdk.Token.is_unresolved(stack.account) else stack.account
    paths = {each.node.path.partition("/")[2]: each for each in stack.node.find_all()}
    for suppression in tomllib.loads(SUPPRESSIONS.read_text(encoding="utf-8"))[kind]:
        for path in (found for pattern in suppression["on"] for found in fnmatch.filter(paths, pattern)):
            owner = paths.get(path.partition("/")[0] + "/Resource")
            logical_id = stack.get_logical_id(owner) if isinstance(owner, aws_cdk.CfnElement) else ""
            for rule in suppression["rules"]:
                name = rule.format(region=stack.region, account=account, project=project, owner=logical_id)
                finding = f"{name.partition('-')[0]}::{name}"
                answer = aws_cdk.Acknowledgment(id=finding, reason=suppression["reason"])
                aws_cdk.Validations.of(paths[path]).acknowledge(answer)


if __name__ == "__main__":
    synthesise(build)
