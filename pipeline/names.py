"""The names of a run's jobs, models and folders, all made from the execution's own name.

An execution's name may have 80 characters and signs that SageMaker refuses, and a retried job needs a name that was
never used: so a job's name is `{project}-{kind}-{MD5 of the execution's name}-{attempt}`, at most 63 characters
(CreateTrainingJob's `TrainingJobName`) because a project's name has at most 16 and a kind at most 10.
"""

from pipeline.asl import Intrinsic, format_

EXECUTION = "$$.Execution.Name"
EXECUTION_ARN = Intrinsic("$$.Execution.Id")
HASH = f"States.Hash({EXECUTION}, 'MD5')"

RESOURCE_PATH = "$.run.resource"
RESOURCE = Intrinsic(RESOURCE_PATH)
"""The name that this run's model and endpoint config share."""


def run(project: str) -> dict[str, Intrinsic]:
    """What the first state keeps as `$.run`."""
    return {
        "name": Intrinsic(EXECUTION),
        "id": Intrinsic(HASH),
        "resource": format_(f"{project}-{{}}", HASH),
    }


def job(project: str, kind: str) -> Intrinsic:
    """A job's name; each attempt of the state has its own."""
    return format_(f"{project}-{kind}-{{}}-{{}}", "$.run.id", "$$.State.RetryCount")


def folder(name: str) -> Intrinsic:
    """The S3 URI of one of this run's folders."""
    return format_(f"s3://${{DataBucket}}/runs/{{}}/{name}", EXECUTION)
