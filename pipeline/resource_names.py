"""The names of jobs, models and folders, all made from the execution's own name.

An execution's name may have 80 characters and signs that SageMaker refuses, and a retried job needs a name that was
never used. So a job's name is `{project}-{kind}-{MD5 of the execution's name}-{attempt}`. It has at most 63 characters
(CreateTrainingJob, TrainingJobName), because a project's name has at most 16 and a kind at most 10.
"""

from pipeline.asl import Intrinsic, format_

EXECUTION = "$$.Execution.Name"
EXECUTION_ARN = Intrinsic("$$.Execution.Id")
HASH = f"States.Hash({EXECUTION}, 'MD5')"


def resource(project: str) -> Intrinsic:
    """The name of the model and the endpoint config that this execution makes."""
    return format_(f"{project}-{{}}", HASH)


def job_name(project: str, kind: str) -> Intrinsic:
    """A job's name; each attempt of the state has its own."""
    return format_(f"{project}-{kind}-{{}}-{{}}", HASH, "$$.State.RetryCount")


def folder(name: str) -> Intrinsic:
    """The S3 URI of one of this execution's folders."""
    return format_(f"s3://${{DataBucket}}/runs/{{}}/{name}", EXECUTION)
