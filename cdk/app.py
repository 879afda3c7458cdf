"""What `cdk synth` and `cdk deploy` run."""

import os
from pathlib import Path

import aws_cdk

from cdk.nag import add_checks
from cdk.stack import PipelineStack
from pipeline.config import Settings, load

FLAGS = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-s3:createDefaultLoggingPolicy": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
}
"""CDK feature flags that the template depends on; here rather than in cdk.json, so that tests see them too."""


def build(settings: Settings, *, region: str, account: str | None = None, out: Path | None = None) -> aws_cdk.App:
    """The app with its stack, not synthesised yet; nothing wrong that cdk-nag knows is let through."""
    app = aws_cdk.App(context=FLAGS, outdir=str(out) if out else None, analytics_reporting=False)
    environment = aws_cdk.Environment(account=account, region=region)
    stack = PipelineStack(app, settings.project.name, settings=settings, env=environment)
    add_checks(app, stack, "pipeline", settings.project.name)
    return app


def main() -> None:
    """Synthesises for the region that the CDK CLI or the environment names; needs no credentials."""
    region = os.environ.get("CDK_DEFAULT_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    settings = load(os.environ.get("PIPELINE_CONFIG", "pipeline.toml"))
    build(settings, region=region, account=os.environ.get("CDK_DEFAULT_ACCOUNT")).synth()


if __name__ == "__main__":
    main()
