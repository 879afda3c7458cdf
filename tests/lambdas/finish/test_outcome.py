"""How an execution's last state is put into words."""

import json
from typing import Any

import pytest

from lambdas.finish import outcome
from lambdas.finish.outcome import Outcome

RUN = "arn:aws:states:us-east-1:123456789012:execution:shop-retrain:run-1"
DECIDED = {"evaluation": {"document": {"decision": {"reason": "passes every threshold"}}}}
PENDING = {"package": {"arn": "arn:package/1", "status": "PendingManualApproval"}}
SMOKE = {"smoke_test": {"Error": "SmokeTestFailed", "Cause": json.dumps({"errorMessage": "expected B, got M."})}}
LIMIT = "raise training.max_runtime_minutes or train on less data."


def error(name: str, cause: Any = "") -> dict[str, Any]:
    return {"error": {"Error": name, "Cause": cause if isinstance(cause, str) else json.dumps(cause)}}


STUCK = "expected B, got M. And the way back failed: the endpoint still serves this model (ops rollback). refused"
FAILURES: dict[str, tuple[dict[str, Any], Outcome]] = {
    "a sentence": (error("S3.NoSuchKey", "no such key"), Outcome("failed", "no such key", "S3.NoSuchKey")),
    "a failed job": (
        error("States.TaskFailed", {"ExitMessage": "row 6: not a number ", "FailureReason": "exit code: 1"}),
        Outcome("failed", "row 6: not a number exit code: 1", "States.TaskFailed"),
    ),
    "a Lambda's error": (
        error("LeaseHeld", {"errorMessage": "another execution owns it", "errorType": "LeaseHeld"}),
        Outcome("failed", "another execution owns it", "LeaseHeld"),
    ),
    "a document without a sentence": (error("E", {"a": 1}), Outcome("failed", '{"a": 1}', "E")),
    "JSON that is no document": (error("E", "[1]"), Outcome("failed", "[1]", "E")),
    "a training job past its limit": (
        error("States.TaskFailed", {"TrainingJobName": "t", "SecondaryStatus": "MaxRuntimeExceeded"}),
        Outcome("failed", f"The training job of run-1 was stopped: {LIMIT}", "TrainingStopped"),
    ),
    "a training job that .sync takes for done": (
        {"train": {"job": "t", "status": "Stopped"}},
        Outcome("failed", f"The training job of run-1 was stopped: {LIMIT}", "TrainingStopped"),
    ),
    "no answer to an approval": (
        {**PENDING, **error("States.Timeout")},
        Outcome("failed", "No answer within release.approval_hours; arn:package/1 stays pending.", "ApprovalDeadline"),
    ),
    "a timeout of another task": (error("States.Timeout"), Outcome("failed", "", "States.Timeout")),
    "a rollback": (error("RolledBack", "went back"), Outcome("rolled back", "went back", "RolledBack")),
    "a child's rollback": (
        error("States.TaskFailed", {"ExecutionArn": "e", "Error": "RolledBack", "Cause": "went back"}),
        Outcome("rolled back", "went back", "RolledBack"),
    ),
    "a child that was aborted": (
        error("States.TaskFailed", {"ExecutionArn": "e", "Status": "ABORTED"}),
        Outcome("failed", "The deployment ended as ABORTED.", "States.TaskFailed"),
    ),
    "a wrong answer, champion restored": (
        {**SMOKE, "restored": {"config": "old"}},
        Outcome("rolled back", "expected B, got M. The previous config serves again.", "RolledBack"),
    ),
    "a wrong answer of the first model": (
        {**SMOKE, "deleted": {}},
        Outcome("failed", "expected B, got M. The endpoint was deleted.", "SmokeTestFailed"),
    ),
    "a wrong answer and no way back": ({**SMOKE, **error("E", "refused")}, Outcome("failed", STUCK, "SmokeTestFailed")),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_has_an_outcome_a_sentence_and_an_error(case: str) -> None:
    state, expected = FAILURES[case]
    assert outcome.of_failure(state, RUN) == expected


SUCCESSES: dict[str, tuple[dict[str, Any], Outcome]] = {
    "deployed": ({**DECIDED, "deployment": {"model": "m"}}, Outcome("accepted", "passes every threshold")),
    "rejected by the gate": (DECIDED, Outcome("rejected", "passes every threshold")),
    "rejected by a person": (
        {**DECIDED, "approval": {"status": "Rejected"}},
        Outcome("rejected", "rejected by a person (ops reject)"),
    ),
    "superseded": (
        error("Superseded", {"errorMessage": "run 2 is newer"}),
        Outcome("superseded", "run 2 is newer"),
    ),
}


@pytest.mark.parametrize("case", SUCCESSES)
def test_a_run_that_ends_well_says_what_came_of_its_model(case: str) -> None:
    state, expected = SUCCESSES[case]
    assert outcome.of_retrain(state) == expected


@pytest.mark.parametrize(("verdict", "name"), [("none", "no drift"), ("drift", "drift"), ("not enough data",) * 2])
def test_a_drift_check_says_its_verdict(verdict: str, name: str) -> None:
    assert outcome.of_drift({"drift": {"document": {"verdict": verdict, "reason": "r"}}}) == Outcome(name, "r")


def test_warnings_are_sentences_of_the_run_and_of_its_deployment() -> None:
    state = {
        "deployment": {"warnings": ["cleanup failed: refused"]},
        "reject_error": {"Error": "E", "Cause": json.dumps({"errorMessage": "denied"})},
    }
    assert outcome.warnings(state) == ["cleanup failed: refused", "the package was not rejected: denied"]
