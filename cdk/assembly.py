"""The folder for files that are written during synthesis."""

from pathlib import Path

from aws_cdk import Stage
from constructs import Construct


def folder(scope: Construct) -> Path:
    """Return the output folder of the app, so that apps that are synthesised at once share no file."""
    stage = Stage.of(scope)
    assert stage is not None, "the construct is in no app"
    return Path(stage.outdir)
