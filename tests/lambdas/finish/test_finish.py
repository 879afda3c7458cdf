"""The end of executions: the outcome in words, the lease, the notification, and what a second call does."""

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.finish import outcome
from lambdas.finish.finish import Finish, aborted, finish
from lambdas.finish.outcome import Outcome

RUN = "arn:aws:states:eu-west-1:123456789012:execution:shop-retrain:run-1"
CASES = tomllib.loads(Path(__file__).with_name("outcomes.toml").read_text("utf-8"))
CHILD = RUN.replace("shop-retrain:run-1", "shop-deploy:child")
DECIDED = {"decision": {"reason": "passes every threshold"}}
STATE = {
    "request": {"reason": "upload"},
    "package": {"arn": "arn:package/1", "status": "Approved"},
    "evaluation": {"document": DECIDED},
    "deployment": {"model": "shop-live", "warnings": []},
}
REFUSED = ClientError({"Error": {"Code": "AuthorizationError", "Message": "denied"}}, "Publish")
ERRORS = {"ConditionalCheckFailedException": type("ConditionalCheckFailedException", (Exception,), {})}


class Recorder:
    """The clients of the function: the lease's owner, and what was published."""

    def __init__(self, owner: str = RUN) -> None:
        self.owner, self.sent, self.refuses = owner, list[tuple[str, Any]](), False
        self.refused_entry: dict[str, str] = {}
        dynamodb = SimpleNamespace(update_item=self.update_item, exceptions=SimpleNamespace(**ERRORS))
        sns, events = SimpleNamespace(publish=self.publish), SimpleNamespace(put_events=self.put_events)
        self.parts = Finish("shop", "bucket", "table", "shop", "arn:topic", dynamodb, sns, events)

    def update_item(self, **request: Any) -> None:
        if request["ExpressionAttributeValues"][":owner"]["S"] != self.owner:
            raise ERRORS["ConditionalCheckFailedException"]
        self.owner = ""

    def publish(self, **request: Any) -> dict[str, str]:
        if self.refuses:
            raise REFUSED
        self.sent.append((request["Subject"], json.loads(request["Message"])))
        return {"MessageId": "1"}

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        (entry,) = Entries
        if self.refused_entry:
            return {"FailedEntryCount": 1, "Entries": [self.refused_entry]}
        self.sent.append((f"{entry['Source']}: {entry['DetailType']}", json.loads(entry["Detail"])))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}


def test_an_accepted_run_frees_the_lease_and_sends_one_document_twice() -> None:
    recorder = Recorder()
    output = finish(recorder.parts, "retrain", RUN, STATE, failed=False)
    document = {**CASES["accepted"], "metrics": DECIDED}
    assert output == {**document, "warnings": []}
    assert recorder.sent == [("shop: accepted", document), ("shop.pipeline: Run ended", document)]
    assert recorder.owner == ""


def test_a_failed_run_has_its_error_in_the_notification() -> None:
    recorder = Recorder()
    state = {"reason": "upload", "request": "id-of-a-message", "error": {"Error": "E", "Cause": "no such key"}}
    output = finish(recorder.parts, "retrain", RUN, state, failed=True)
    found = [output[key] for key in ("outcome", "why", "error", "next", "started_by")]
    assert found == ["failed", "no such key", "E", "ops retrain --force", "upload"]
    assert [subject for subject, _ in recorder.sent] == ["shop: failed", "shop.pipeline: Run ended"]


def test_a_deployment_of_a_run_leaves_lease_and_notification_to_the_run() -> None:
    recorder = Recorder()
    finish(recorder.parts, "deploy", CHILD, {"request": {"parent": RUN}, "package": {"arn": "p"}}, failed=False)
    finish(recorder.parts, "deploy", CHILD, {"parent": RUN, "error": {"Error": "E", "Cause": "c"}}, failed=True)
    assert aborted(recorder.parts, event("ABORTED", CHILD, parent=RUN)) == {}
    assert (recorder.owner, recorder.sent) == (RUN, [])


def test_a_notification_that_fails_is_a_warning_and_the_lease_is_free_all_the_same() -> None:
    recorder = Recorder()
    recorder.refuses = True
    output = finish(recorder.parts, "retrain", RUN, STATE, failed=False)
    assert (output["outcome"], recorder.owner) == ("accepted", "")
    assert output["warnings"] == [f"a notification failed: {REFUSED}"]
    assert [subject for subject, _ in recorder.sent] == ["shop.pipeline: Run ended"]


THROTTLED = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}


def test_an_event_that_eventbridge_refuses_in_a_successful_answer_is_a_warning() -> None:
    recorder = Recorder()
    recorder.refused_entry = THROTTLED
    output = finish(recorder.parts, "retrain", RUN, STATE, failed=False)
    assert output["warnings"] == ["a notification failed: ThrottlingException: Rate exceeded"]
    assert [subject for subject, _ in recorder.sent] == ["shop: accepted"]


def test_a_failed_notification_of_a_run_that_waits_for_approval_is_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = Recorder()
    recorder.refuses, recorder.refused_entry = True, THROTTLED
    recorder.parts.ask_approval(RUN, STATE, "token")
    warnings = [f"a notification failed: {REFUSED}", "a notification failed: ThrottlingException: Rate exceeded"]
    assert json.loads(capsys.readouterr().out) == {
        "execution": RUN,
        "outcome": "waiting for approval",
        "warnings": warnings,
    }


def event(status: str, arn: str = RUN, **request: Any) -> dict[str, Any]:
    return {"executionArn": arn, "status": status, "input": json.dumps(request)}


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
@pytest.mark.parametrize("owner", [RUN, CHILD])
def test_an_execution_that_was_aborted_is_ended_whether_it_owned_the_lease_or_not(status: str, owner: str) -> None:
    recorder = Recorder(owner)
    output = aborted(recorder.parts, event(status, reason="upload"))
    assert (output["outcome"], output["why"]) == ("aborted", f"the execution ended as {status}")
    assert (output["next"], output["started_by"]) == ("ops status", "upload")
    assert recorder.owner == ("" if owner == RUN else CHILD)
    assert len(recorder.sent) == 2


def test_a_failure_is_notified_once_whoever_comes_first() -> None:
    recorder = Recorder()
    finish(recorder.parts, "retrain", RUN, {"error": {"Error": "E", "Cause": "c"}}, failed=True)
    assert aborted(recorder.parts, event("FAILED")) == {}
    assert len(recorder.sent) == 2
    unfinished = Recorder()
    assert aborted(unfinished.parts, event("FAILED"))["why"] == "the execution ended as FAILED"
    assert (unfinished.owner, len(unfinished.sent)) == ("", 2)


@pytest.mark.parametrize("text", [None, "[]", '"text"'])
def test_an_event_whose_input_is_no_object_is_ended_too(text: str | None) -> None:
    detail = {"executionArn": RUN, "status": "ABORTED", "input": text}
    assert aborted(Recorder().parts, detail)["started_by"] == "manual"


@pytest.mark.parametrize(("verdict", "name"), [("none", "no drift"), ("drift", "drift"), ("not enough data",) * 2])
def test_only_drift_is_notified(verdict: str, name: str) -> None:
    recorder = Recorder()
    summary = {"verdict": verdict, "drifted": verdict == "drift", "reason": "psi of age"}
    output = finish(recorder.parts, "drift", RUN, {"drift": {"document": {**summary, "metrics": []}}}, failed=False)
    assert (output["outcome"], output["why"], output["drift"]) == (name, "psi of age", summary)
    subjects = ["shop: drift", "shop.drift: Drift found"] if verdict == "drift" else []
    assert [subject for subject, _ in recorder.sent] == subjects
    assert recorder.owner == RUN


def test_a_drift_check_whose_figures_cloudwatch_refused_is_notified_all_the_same_and_has_a_warning() -> None:
    recorder = Recorder()
    summary = {"verdict": "drift", "drifted": True, "reason": "psi of age"}
    state = {"drift": {"document": summary}, "metrics_error": {"Error": "E", "Cause": "denied"}}
    output = finish(recorder.parts, "drift", RUN, state, failed=False)
    assert (output["outcome"], output["drift"]) == ("drift", summary)
    assert output["warnings"] == ["the figures are not in CloudWatch: denied"]
    assert [subject for subject, _ in recorder.sent] == ["shop: drift", "shop.drift: Drift found"]


@pytest.mark.parametrize("case", [*CASES["failures"].values(), *CASES["successes"].values()])
def test_an_end_has_an_outcome_a_sentence_and_an_error(case: dict[str, Any]) -> None:
    failed = case in CASES["failures"].values()
    found = outcome.of_failure(case["state"], RUN) if failed else outcome.of_retrain(case["state"])
    assert found == Outcome(*case["outcome"])


def test_warnings_are_sentences_of_the_run_and_of_its_deployment() -> None:
    state = {
        "deployment": {"warnings": ["cleanup failed: refused"]},
        "reject_error": {"Error": "E", "Cause": json.dumps({"errorMessage": "denied"})},
    }
    assert outcome.warnings(state) == ["cleanup failed: refused", "the package was not rejected: denied"]


def test_a_rollback_that_was_overtaken_is_not_to_be_repeated_by_a_retraining() -> None:
    recorder = Recorder()
    state = {**STATE, "error": {"Error": "RollbackOvertaken", "Cause": "Another model went live."}}
    document = finish(recorder.parts, "deploy", RUN, state, failed=True)
    found = {name: document[name] for name in ("outcome", "why", "error", "next")}
    why = "Another model went live."
    assert found == {"outcome": "failed", "why": why, "error": "RollbackOvertaken", "next": "ops status"}


SCORE = RUN.replace("shop-retrain", "shop-score")
LEFT_OUT = {"file": "b.csv", "rows": 0, "wrong": 0, "left_out": "b.csv: the file is empty"}


def test_a_scoring_is_notified_with_its_counts_and_its_package() -> None:
    recorder = Recorder()
    counts = {"rows": 9, "wrong": 1, "files": [{"file": "a.csv", "rows": 9, "wrong": 1, "scored": "a.csv"}, LEFT_OUT]}
    champion = {"package": "arn:package/3"}
    state = {"reason": "upload", "key": "score/a.csv", "champion": champion, "score": {"document": counts}}
    output = finish(recorder.parts, "score", SCORE, state, failed=False)
    why = "9 rows of 2 file(s) scored, 1 wrong, 1 file(s) left out: b.csv: the file is empty"
    found = {name: output[name] for name in ("outcome", "why", "next", "started_by", "model", "package", "score")}
    assert found == {
        "outcome": "scored",
        "why": why,
        "next": "ops score",
        "started_by": "upload",
        "model": "",
        "package": "arn:package/3",
        "score": counts,
    }
    assert [subject for subject, _ in recorder.sent] == ["shop: scored", "shop.pipeline: Scoring ended"]
    assert recorder.owner == RUN


def test_a_scoring_that_failed_is_to_be_repeated_by_a_file_and_not_by_a_retraining() -> None:
    recorder = Recorder()
    state = {"key": "score/a.csv", "error": {"Error": "States.TaskFailed", "Cause": '{"ExitMessage": "a.csv: empty"}'}}
    output = finish(recorder.parts, "score", SCORE, state, failed=True)
    found = [output[name] for name in ("outcome", "why", "next", "package", "score")]
    assert found == ["failed", "a.csv: empty", "ops score FILE", "", {}]
    assert [subject for subject, _ in recorder.sent] == ["shop: failed", "shop.pipeline: Scoring ended"]


def test_nobody_is_told_that_there_was_nothing_to_score() -> None:
    recorder = Recorder()
    state = {"reason": "schedule", "score": {"document": {"rows": 0, "wrong": 0, "files": []}}}
    assert finish(recorder.parts, "score", SCORE, state, failed=False)["outcome"] == "nothing to score"
    assert recorder.sent == []
