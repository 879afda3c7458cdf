"""Files that are made while the app is synthesised."""

from pathlib import Path

from aws_cdk import Stage
from constructs import Construct


def folder(scope: Construct) -> Path:
    """The folder that this app is written to: two that are synthesised at once share no file."""
    stage = Stage.of(scope)
    assert stage is not None, "a construct outside of an app"
    return Path(stage.outdir)
