"""Tell: every outcome is recorded in the run's output, published to people and announced to machines."""

from typing import Any

from pipeline import names
from pipeline.asl import Catch, Fail, Intrinsic, Parallel, Pass, Retry, State, Succeed, Task, format_
from pipeline.states.lease import free


def outcome(name: str) -> Pass:
    """Names the outcome of a run that came to its end, as `$.outcome`."""
    return Pass(name.capitalize(), result=name, result_path="$.outcome")


def ended(project: str) -> list[State]:
    """FreeLease, and Tell `$.outcome` with the metrics; a run whose message did not get out has still ended well."""
    done = Succeed("Done")
    told = _tell(
        "Tell",
        project,
        {
            "outcome": Intrinsic("$.outcome"),
            "execution": Intrinsic("$$.Execution.Id"),
            "reason": Intrinsic("$.request.reason"),
            "model": names.RESOURCE,
            "package": Intrinsic("$.package.arn"),
            "evaluation": Intrinsic("$.evaluation.metrics"),
            "next": "python -m ops status",
        },
        Intrinsic("$.outcome"),
        then=done,
    )
    return [free("FreeLease", told), told, done]


def failed(project: str) -> State:
    """FreeLeaseOfFailed, Tell `$.error`, then end the run Failed with that error and cause."""
    fail = Fail("Failed", error_path="$.error.Error", cause_path="$.error.Cause")
    told = _tell(
        "TellFailure",
        project,
        {
            "outcome": "failed",
            "execution": Intrinsic("$$.Execution.Id"),
            "error": Intrinsic("$.error.Error"),
            "cause": Intrinsic("$.error.Cause"),
            "next": "python -m ops watch",
        },
        "failed",
        then=fail,
    )
    return free("FreeLeaseOfFailed", told)


def _tell(state_id: str, project: str, message: dict[str, Any], word: str | Intrinsic, *, then: State) -> State:
    """SNS for people and an EventBridge event `Run ended` for machines, side by side."""
    subject = f"{project}: {word}" if isinstance(word, str) else format_(f"{project}: {{}}", word.expression)
    publish = Task(
        f"{state_id}People",
        resource="arn:aws:states:::sns:publish",
        parameters={"TopicArn": "${Topic}", "Subject": subject, "Message": message},
        timeout_seconds=60,
    )
    announce = Task(
        f"{state_id}Machines",
        resource="arn:aws:states:::events:putEvents",
        parameters={
            "Entries": [
                {
                    "Source": f"{project}.pipeline",
                    "DetailType": "Run ended",
                    "Detail": message,
                    "EventBusName": "default",
                }
            ]
        },
        timeout_seconds=60,
    )
    both = Parallel(state_id, result_path=None)
    for task in (publish, announce):
        task.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=3, backoff_rate=2.0))
        both.add_branch(task)
    both.add_catch(Catch(error_equals=["States.ALL"], result_path="$.untold", next_step=then))
    both.next(then)
    return both
