"""Tell: every outcome is recorded in the run's output and published."""

from typing import Any

from pipeline import names
from pipeline.asl import Catch, Fail, Intrinsic, Pass, Retry, State, Succeed, Task, format_

SUBJECT_LENGTH = 100
"""SNS Publish: a subject has at most 100 characters."""


def outcome(name: str) -> Pass:
    """Names the outcome of a run that came to its end, as `$.outcome`."""
    return Pass(name.capitalize(), result=name, result_path="$.outcome")


def ended(project: str) -> list[State]:
    """Publishes `$.outcome` with the metrics; a run whose message did not get out has still ended well."""
    done = Succeed("Done")
    notify = _publish(
        "Notify",
        format_(f"{project}: {{}}", "$.outcome"),
        {
            "outcome": Intrinsic("$.outcome"),
            "execution": Intrinsic("$$.Execution.Id"),
            "model": names.RESOURCE,
            "evaluation": Intrinsic("$.evaluation.metrics"),
        },
        otherwise=done,
    )
    return [notify, done]


def failed(project: str) -> State:
    """Publishes `$.error`, then ends the run Failed with that error and cause."""
    fail = Fail("Failed", error_path="$.error.Error", cause_path="$.error.Cause")
    notify = _publish(
        "NotifyFailure",
        f"{project}: failed",
        {
            "outcome": "failed",
            "execution": Intrinsic("$$.Execution.Id"),
            "error": Intrinsic("$.error.Error"),
            "cause": Intrinsic("$.error.Cause"),
        },
        otherwise=fail,
    )
    notify.next(fail)
    return notify


def _publish(state_id: str, subject: Any, message: dict[str, Any], *, otherwise: State) -> Task:
    step = Task(
        state_id,
        resource="arn:aws:states:::sns:publish",
        parameters={"TopicArn": "${Topic}", "Subject": subject, "Message": message},
        timeout_seconds=60,
        result_path="$.told",
        result_selector={"message": Intrinsic("$.MessageId")},
    )
    step.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=3, backoff_rate=2.0))
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.told", next_step=otherwise))
    return step
