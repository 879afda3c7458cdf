"""What came live without its deployment: it is asked once, and the result is notified."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.finish.live import Live
from tests.lambdas.finish.test_finish import CHILD, RUN, Recorder

START = "arn:aws:sagemaker:eu-west-1:123456789012:"
PACKAGE = f"{START}model-package/shop/7"
METADATA = {"execution": RUN, "variant": "signature-1"}
GOLDEN = {"golden": [{"row": {"age": 1.0}, "label": "yes"}], "golden_share": 1.0}
SMOKE = [{"row": "1.0", "label": "yes", "score": 0.9}]
NO_ENDPOINT = ClientError({"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}, "Describe")
WRONG = ("SmokeTestFailed", "golden row 1: expected yes, got no")
SILENT = ("SmokeTestUnanswered", "golden row 1 got no answer: busy")


class World:
    """The clients of the function; `answers` are the errors of the smoke tests to come, None for one that passes."""

    def __init__(self, status: str, *answers: tuple[str, str] | None, request: Any = None) -> None:
        self.recorder, self.answers, self.asked = Recorder(), list(answers), list[Any]()
        self.endpoint = {"EndpointStatus": "InService", "EndpointConfigName": "shop-1"}
        self.tags = {"execution": CHILD, "model-package": PACKAGE}
        self.waits = list[float]()
        self.status, self.request = status, {"parent": RUN, "reason": "upload"} if request is None else request
        missing = type("ExecutionDoesNotExist", (Exception,), {})
        self.live = Live(
            endpoint="shop",
            bucket="bucket",
            function="predict",
            golden=GOLDEN,
            sagemaker=SimpleNamespace(
                describe_endpoint=self.describe_endpoint,
                list_tags=self.list_tags,
                add_tags=self.add_tags,
                describe_model_package=lambda ModelPackageName: {"CustomerMetadataProperties": METADATA},  # noqa: N803
            ),
            states=SimpleNamespace(
                describe_execution=self.describe_execution, exceptions=SimpleNamespace(ExecutionDoesNotExist=missing)
            ),
            s3=SimpleNamespace(
                get_object=self.get_object, exceptions=SimpleNamespace(NoSuchKey=type("NoSuchKey", (Exception,), {}))
            ),
            functions=SimpleNamespace(invoke=self.invoke),
            wait=self.waits.append,
        )

    def check(self) -> Any:
        return self.live.check(self.recorder.parts)

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if not self.endpoint:
            raise NO_ENDPOINT
        return {**self.endpoint, "EndpointArn": f"{START}endpoint/{EndpointName}"}

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:  # noqa: N803
        assert ResourceArn == f"{START}endpoint-config/shop-1"
        return {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]}

    def add_tags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> None:  # noqa: N803
        assert ResourceArn == f"{START}endpoint-config/shop-1"
        self.tags |= {tag["Key"]: tag["Value"] for tag in Tags}

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803
        if self.status == "forgotten":
            raise self.live.states.exceptions.ExecutionDoesNotExist
        return {"status": self.status, "input": json.dumps(self.request)}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == ("bucket", "runs/run-1/evaluation/smoke.json")
        return {"Body": io.BytesIO(json.dumps(SMOKE).encode())}

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        self.asked.append((FunctionName, json.loads(Payload)))
        error = self.answers.pop(0)
        result = dict(zip(("errorType", "errorMessage"), error, strict=True)) if error else {"ok": True}
        return {"Payload": io.BytesIO(json.dumps(result).encode()), **({"FunctionError": "Unhandled"} if error else {})}


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_a_model_that_came_live_after_its_deployment_had_ended_is_asked_and_the_result_is_notified(status: str) -> None:
    world = World(status, None)
    document = world.check()
    assert world.asked == [("predict", {**GOLDEN, "smoke": SMOKE, "variant": "signature-1"})]
    why = f"{PACKAGE} serves and passes the smoke test; its deployment had ended as {status}"
    named = [document[key] for key in ("outcome", "why", "next", "execution", "started_by", "model", "package")]
    assert named == ["accepted", why, "ops predict", RUN, "upload", "shop-1", PACKAGE]
    assert [subject for subject, _ in world.recorder.sent] == ["shop: accepted", "shop.pipeline: Live model checked"]
    assert (world.tags["smoke-test"], document["warnings"]) == ("passed", [])


def test_a_wrong_model_is_notified_with_the_rollback_as_the_next_command() -> None:
    world = World("ABORTED", WRONG, request={"reason": "rollback"})
    document = world.check()
    why = f"{PACKAGE} serves, its deployment had ended as ABORTED, and fails the smoke test: {WRONG[1]}"
    named = [document[key] for key in ("outcome", "why", "next", "execution", "error", "started_by")]
    assert named == ["failed", why, "ops rollback", CHILD, "SmokeTestFailed", "rollback"]
    assert world.tags["smoke-test"] == "SmokeTestFailed"
    assert len(world.recorder.sent) == 2


def test_a_row_without_an_answer_is_asked_three_times() -> None:
    world = World("FAILED", SILENT, SILENT, None)
    assert (world.check()["outcome"], world.waits) == ("accepted", [0, 2, 4])
    world = World("FAILED", SILENT, SILENT, SILENT)
    assert (world.check()["error"], world.waits) == ("SmokeTestUnanswered", [0, 2, 4])


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "forgotten"])
def test_a_model_whose_deployment_asks_or_has_asked_it_is_left_alone(status: str) -> None:
    world = World(status)
    assert (world.check(), world.asked, world.recorder.sent) == ({}, [], [])


def test_a_model_is_asked_once_however_often_the_events_come() -> None:
    world = World("ABORTED", None)
    assert world.check()["outcome"] == "accepted"
    assert (world.check(), len(world.asked), len(world.recorder.sent)) == ({}, 1, 2)


def test_an_endpoint_that_is_being_changed_or_is_gone_or_of_an_older_version_is_left_alone() -> None:
    world = World("ABORTED")
    world.endpoint["EndpointStatus"] = "Updating"
    assert world.check() == {}
    world.endpoint = {}
    assert world.check() == {}
    older = World("ABORTED")
    del older.tags["execution"]
    assert (older.check(), older.recorder.sent) == ({}, [])


def test_a_result_that_another_deployment_may_have_disturbed_is_dropped() -> None:
    world = World("ABORTED", WRONG)
    asked = world.live.functions.invoke

    def invoke(**request: Any) -> Any:
        world.endpoint["EndpointStatus"] = "Updating"
        return asked(**request)

    world.live.functions.invoke = invoke
    assert (world.check(), world.recorder.sent, "smoke-test" in world.tags) == ({}, [], False)


def test_a_run_of_an_older_version_kept_no_rows() -> None:
    world = World("ABORTED", None)

    def missing(**_: Any) -> Any:
        raise world.live.s3.exceptions.NoSuchKey

    world.live.s3.get_object = missing
    assert world.check()["outcome"] == "accepted"
    assert world.asked[0][1]["smoke"] == []
