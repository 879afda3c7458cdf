"""How an execution ended, in words: the outcome, one sentence why, and the next command."""

import json
from dataclasses import dataclass
from typing import Any

NOTHING = "nothing to score"
"""The outcome of a scoring that found no new file. It sends no notification."""
NEXT = {
    "accepted": "ops predict",
    "rejected": "ops status",
    "superseded": "ops watch",
    "waiting for approval": "ops approve, or ops reject",
    "rolled back": "ops retrain --force",
    "failed": "ops retrain --force",
    "aborted": "ops status",
    "drift": "ops drift",
    "scored": "ops score",
    NOTHING: "ops score FILE",
    "RollbackOvertaken": "ops status",
}
"""The command that comes next, by the error or the outcome; after a failure, once its cause is fixed."""
SENTENCES = ("ExitMessage", "FailureReason", "errorMessage", "Cause")
"""Members of a JSON cause that hold a sentence: a failed job's description, a Lambda's error, a child execution."""
State = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome's name, the sentence why, and the error of an execution that failed."""

    name: str
    why: str
    error: str = ""


def of_failure(state: State, execution: str) -> Outcome:
    """The outcome of an execution that ends Failed, from the last state that it had."""
    error, why = _error(state.get("error", {}))
    asked = "PendingManualApproval" in {state.get("package", {}).get("status"), _decided(state).get("status")}
    if error == "States.Timeout" and asked and "package" in state and "approval" not in state:
        why = f"No answer within release.approval_hours; {state['package']['arn']} stays pending."
        return Outcome("failed", why, "ApprovalDeadline")
    if error == "TuningStopped" or ("tuning" in state and "train" not in state and "error" not in state):
        job = state.get("tuning", {}).get("HyperParameterTuningJobName", why)
        return Outcome("failed", f"The tuning job {job} ended without a best training job.", "TuningStopped")
    if error == "TrainingStopped" or state.get("train", {}).get("status", "Completed") != "Completed":
        run = execution.rpartition(":")[2]
        advice = "raise training.max_runtime_minutes or train on less data."
        return Outcome("failed", f"The training job of {run} was stopped: {advice}", "TrainingStopped")
    if "Error" in state.get("smoke_test", {}):
        return _of_smoke_test(state, why)
    return Outcome("rolled back" if error == "RolledBack" else "failed", why, error)


def _of_smoke_test(state: State, why: str) -> Outcome:
    """The deployed model did not pass the smoke test: the result of the restore decides."""
    error, sentence = _error(state["smoke_test"])
    if "restored" in state:
        return Outcome("rolled back", f"{sentence} The previous config serves again.", "RolledBack")
    if "deleted" in state:
        return Outcome("failed", f"{sentence} The endpoint was deleted.", error)
    stuck = "The restore failed: the endpoint still serves this model (ops rollback)."
    return Outcome("failed", f"{sentence} {stuck} {why}".rstrip(), error)


def of_retrain(state: State) -> Outcome:
    """The outcome of a retrain execution that ends Succeeded."""
    if "error" in state:
        return Outcome("superseded", _error(state["error"])[1])
    if "deployment" in state:
        return Outcome("accepted", decision(state))
    by_person = state.get("approval", {}).get("status") == "Rejected"
    return Outcome("rejected", "rejected by a person (ops reject)" if by_person else decision(state))


def of_score(state: State) -> Outcome:
    """The outcome of a score execution that ends Succeeded."""
    counts = state["score"]["document"]
    if not counts["files"]:
        return Outcome(NOTHING, "no file under score/ is newer than its scored rows")
    left_out = [each for each in counts["files"] if "left_out" in each]
    why = f"{counts['rows']} rows of {len(counts['files'])} file(s) scored, {counts['wrong']} wrong"
    why += f", {len(left_out)} file(s) left out: {left_out[0]['left_out']}" if left_out else ""
    return Outcome("scored", why)


def scored(state: State) -> dict[str, Any]:
    """What a notification of a scoring has beside and in place of a run's: the model package, counts, the command."""
    failed = {"next": "ops score FILE"} if "error" in state else {}
    model = {"model": "", "package": state.get("champion", {}).get("package", "")}
    return {**model, "score": state.get("score", {}).get("document", {}), **failed}


def decision(state: State) -> str:
    """The quality gate's reason, which also says if the champion was not comparable."""
    return str(_decided(state)["reason"])


def _decided(state: State) -> dict[str, Any]:
    decided: dict[str, Any] = state.get("evaluation", {}).get("document", {}).get("decision", {})
    return decided


def _error(error: dict[str, str]) -> tuple[str, str]:
    """The name and the sentence of an error {Error, Cause}, whose cause may be a JSON document."""
    name, cause = error.get("Error", "States.Runtime"), error.get("Cause", "")
    try:
        document = json.loads(cause)
    except ValueError:
        return name, cause
    if not isinstance(document, dict):
        return name, cause
    if document.get("SecondaryStatus") == "MaxRuntimeExceeded":
        name = "TrainingStopped"
    if document.get("HyperParameterTuningJobStatus") == "Stopped":
        return "TuningStopped", str(document.get("HyperParameterTuningJobName"))
    if "ExecutionArn" in document:  # of a child execution: its own error and sentence
        name = document.get("Error", name)
        document.setdefault("Cause", f"The deployment ended as {document.get('Status')}.")
    sentences = " ".join(filter(None, (str(document.get(member, "")).strip() for member in SENTENCES)))
    return name, sentences or cause


def request(state: State) -> dict[str, Any]:
    """The request; before the execution has the lease, its state is the raw input, whose `request` is an id."""
    found = state.get("request")
    return found if isinstance(found, dict) else state


def warnings(state: State) -> list[str]:
    """What went wrong beside the outcome, such as a cleanup."""
    places = {
        "cleanup_error": "cleanup failed",
        "reject_error": "the package was not rejected",
        "autoscaling_error": "autoscaling of the previous model was not set again",
        "metrics_error": "the figures are not in CloudWatch",
    }
    found = [f"{what}: {_error(state[place])[1]}" for place, what in places.items() if place in state]
    return [*state.get("deployment", {}).get("warnings", []), *found]
