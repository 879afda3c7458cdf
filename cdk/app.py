"""The app that `cdk synth` and `cdk deploy` run."""

import os
from collections.abc import Callable
from pathlib import Path

import aws_cdk

from cdk.nag import add_checks
from cdk.regions import check_region
from cdk.stack import PipelineStack
from pipeline.config import Settings, load

FLAGS = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-s3:createDefaultLoggingPolicy": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
}
"""CDK feature flags that the template depends on; here rather than in cdk.json, so that tests see them too."""


def build(
    settings: Settings,
    *,
    region: str,
    account: str | None = None,
    out: Path | None = None,
    stack: Callable[..., aws_cdk.Stack] = PipelineStack,
    suffix: str = "",
) -> aws_cdk.App:
    """Return an app with one stack, `{project}{suffix}`, which cdk-nag checks when it is synthesised.

    Raises ValueError when the region lacks a resource type of the stack or an instance type of the settings.
    """
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


if __name__ == "__main__":
    synthesise(build)
