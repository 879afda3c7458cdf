"""What `cdk synth` and `cdk deploy` run."""

import os

import aws_cdk as cdk

from cdk.stack import PipelineStack
from pipeline.config import load


def main() -> None:
    """Synthesises the stacks for the region that the CDK CLI or the environment names; needs no credentials."""
    settings = load(os.environ.get("PIPELINE_CONFIG", "pipeline.toml"))
    region = os.environ.get("CDK_DEFAULT_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    app = cdk.App(analytics_reporting=False)
    account = os.environ.get("CDK_DEFAULT_ACCOUNT")
    PipelineStack(app, settings.project.name, settings=settings, env=cdk.Environment(account=account, region=region))
    app.synth()


if __name__ == "__main__":
    main()
