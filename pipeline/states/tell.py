"""Tell: every outcome is recorded in the run's output, published to people and announced to machines."""

from typing import Any

from pipeline import names
from pipeline.asl import (
    Catch,
    Choice,
    ChoiceRule,
    Fail,
    Intrinsic,
    Parallel,
    Pass,
    Retry,
    State,
    Succeed,
    Task,
    format_,
)
from pipeline.states.lease import free

NEXT = {
    "accepted": "python -m ops predict",
    "rejected": "python -m ops status",
    "superseded": "python -m ops watch",
    "waiting for approval": "python -m ops approve, or python -m ops reject",
    "failed": "python -m ops retrain --force",
    "aborted": "python -m ops status",
}
"""The command that comes next; after a failure, once its cause is mended."""
DECISION = Intrinsic("$.evaluation.metrics.decision.reason")
SAID = ("ExitMessage", "FailureReason", "errorMessage")
"""Where the cause of a failed job, which is its whole description, or of a failed Lambda has its sentence."""


def outcome(state_id: str, word: str, why: Intrinsic | str) -> Pass:
    """Names the outcome of a run that came to its end, and leaves of its state what is worth keeping."""
    kept: dict[str, Any] = {key: Intrinsic(f"$.{key}") for key in ("run", "request", "package", "evaluation", "untidy")}
    return Pass(state_id, parameters={**kept, "outcome": word, "why": why, "next": NEXT[word]})


def ended(project: str, console: str) -> list[State]:
    """FreeLease, and Tell `$.outcome`; a run whose message did not get out has still ended well."""
    done = Succeed("Done")
    message = _message(Intrinsic("$.outcome"), Intrinsic("$.why"), Intrinsic("$.next"), console)
    told = tell("Tell", project, message, then=done)
    return [free("FreeLease", told), told, done]


def failed(project: str, console: str) -> State:
    """FreeLeaseOfFailed, TellFailure, then end the run Failed with `$.error`, its cause a sentence where it has one."""
    fail = Fail("Failed", error_path="$.error.Error", cause_path="$.error.Cause")
    message = _message(Intrinsic("$.outcome"), Intrinsic("$.error.Cause"), NEXT["failed"], console)
    told = tell("TellFailure", project, {**message, "error": Intrinsic("$.error.Error")}, then=fail)
    return free("FreeLeaseOfFailed", sentence("Cause", "$.error", then=told))


def sentence(of: str, path: str, *, then: State) -> State:
    """Three states that put the sentence in place of a document in the Cause of the error at `path`, if it has one."""
    opened = Pass(
        f"Open{of}",
        parameters={"said": Intrinsic(f"States.JsonMerge($.cause, States.StringToJson({path}.Cause), false)")},
        result_path="$.opened",
    )
    told = format_("{} {} {}", *(f"$.opened.said.{name}" for name in SAID))
    read = Pass(f"Read{of}", parameters={"Error": Intrinsic(f"{path}.Error"), "Cause": told}, result_path=path)
    opened.next(read)
    read.next(then)
    document = Choice(f"{of}IsDocument")
    document.add_choice(
        ChoiceRule.Or([ChoiceRule.StringMatches(f"{path}.Cause", f'{{*"{name}":*}}') for name in SAID]), opened
    )
    document.default_choice(then)
    return document


def waiting(project: str, console: str, *, then: State) -> State:
    """AskApproval: a person is wanted."""
    word = "waiting for approval"
    return tell("AskApproval", project, _message(word, DECISION, NEXT[word], console), then=then, event="Run waits")


def _message(word: Intrinsic | str, why: Intrinsic, command: Intrinsic | str, console: str) -> dict[str, Any]:
    """What, why, metrics, links and the next command."""
    return {
        "outcome": word,
        "why": why,
        "next": command,
        "execution": names.EXECUTION_ARN,
        "started_by": Intrinsic("$.request.reason"),
        "model": names.RESOURCE,
        "package": Intrinsic("$.package.arn"),
        "metrics": Intrinsic("$.evaluation.metrics"),
        "links": {"run": run_page(console, names.EXECUTION_ARN.expression), "files": names.folder("")},
    }


def run_page(console: str, execution: str) -> Intrinsic:
    """The console's page of an execution, whose ARN holds the region."""
    region = f"States.ArrayGetItem(States.StringSplit({execution}, ':'), 3)"
    page = f"https://{console}/states/home?region={{}}#/v2/executions/details/{{}}"
    return format_(page, region, execution)


def tell(state_id: str, project: str, message: dict[str, Any], *, then: State, event: str = "Run ended") -> State:
    """SNS for people and an EventBridge event for machines, side by side; goes on to `then` whatever comes of it."""
    word = message["outcome"]
    subject = f"{project}: {word}" if isinstance(word, str) else format_(f"{project}: {{}}", word.expression)
    publish = Task(
        f"{state_id}People",
        resource="arn:aws:states:::sns:publish",
        parameters={"TopicArn": "${Topic}", "Subject": subject, "Message": message},
        timeout_seconds=60,
    )
    entry = {"Source": f"{project}.pipeline", "DetailType": event, "Detail": message, "EventBusName": "default"}
    announce = Task(
        f"{state_id}Machines",
        resource="arn:aws:states:::events:putEvents",
        parameters={"Entries": [entry]},
        timeout_seconds=60,
    )
    both = Parallel(state_id, result_path=None)
    for task in (publish, announce):
        task.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=3, backoff_rate=2.0))
        both.add_branch(task)
    both.add_catch(Catch(error_equals=["States.ALL"], result_path="$.untold", next_step=then))
    both.next(then)
    return both
