"""From an event to the run it starts, on the deployed stack: queue, function, dead letters."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Deployed, wait_for

pytestmark = pytest.mark.cloud


class Path:
    """The deployed path, and the runs that were started since the test began."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed, self.sqs = deployed, deployed.client("sqs")
        self.outputs = deployed.account.outputs
        self.before = {run["executionArn"] for run in self.listed()}

    def listed(self) -> list[Any]:
        machine = self.outputs["StateMachine"]
        runs = self.deployed.account.states.list_executions(stateMachineArn=machine, maxResults=100)["executions"]
        return list(runs)

    def started(self) -> list[dict[str, Any]]:
        """The inputs of the new runs, newest first."""
        new = [run["executionArn"] for run in self.listed() if run["executionArn"] not in self.before]
        states = self.deployed.account.states
        return [json.loads(states.describe_execution(executionArn=arn)["input"]) for arn in new]

    def put(self, name: str) -> None:
        self.deployed.account.s3.put_object(Bucket=self.outputs["DataBucket"], Key=f"raw/{name}", Body=b"x")

    def drift(self) -> None:
        event = {"Source": "breast-cancer.drift", "DetailType": "Drift", "Detail": "{}"}
        self.deployed.client("events").put_events(Entries=[event])

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.outputs["TriggerQueue"], MessageBody=body)

    def waiting(self) -> int:
        """Messages in the queue: delayed, visible and being worked on."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "Delayed", "NotVisible")]
        found = self.sqs.get_queue_attributes(QueueUrl=self.outputs["TriggerQueue"], AttributeNames=names)
        return sum(int(count) for count in found["Attributes"].values())

    def settle(self) -> list[dict[str, Any]]:
        """What `started` says once a run has begun and the queue is empty."""
        wait_for(lambda: True if self.started() and self.waiting() == 0 else None)
        return self.started()


@pytest.fixture
def path(deployed: Deployed) -> Iterator[Path]:
    path = Path(deployed)
    wait_for(lambda: True if path.waiting() == 0 else None)
    deployed.clear()
    yield path
    wait_for(lambda: True if path.waiting() == 0 else None)


def test_ten_uploads_within_a_second_are_one_or_two_runs_and_the_last_has_all(path: Path) -> None:
    for number in range(10):
        path.put(f"{number}.csv")
    started = path.settle()
    assert len(started) in {1, 2}
    assert (started[0]["reason"], started[0]["data"]["objects"]) == ("upload", 10)


def test_the_same_event_three_times_is_one_run(path: Path) -> None:
    path.put("once.csv")
    event = json.dumps({"reason": "upload", "key": "raw/once.csv"})
    path.send(event)
    path.send(event)
    assert [run["data"]["objects"] for run in path.settle()] == [1]


def test_drift_starts_a_run_when_there_is_something_new(path: Path) -> None:
    path.put("a.csv")
    path.put("b.csv")
    assert [run["reason"] for run in path.settle()] == ["upload"]
    path.drift()
    wait_for(lambda: True if path.waiting() == 0 else None)
    assert len(path.started()) == 1
    # Nothing tells of a deletion: what is left has had no run.
    path.deployed.account.s3.delete_object(Bucket=path.outputs["DataBucket"], Key="raw/b.csv")
    path.drift()
    wait_for(lambda: True if len(path.started()) == 2 else None)
    newest = path.started()[0]
    assert (newest["reason"], newest["data"]["objects"]) == ("drift", 1)


@pytest.fixture
def impatient(path: Path) -> Iterator[Callable[[], list[str]]]:
    """The queue, trying again after a second; call it for the bodies of dead letters."""
    queue = path.outputs["TriggerQueue"]
    usual = path.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    path.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})

    def dead() -> list[str]:
        found = path.sqs.receive_message(QueueUrl=path.outputs["DeadLetterQueue"], MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", [])]

    yield dead
    path.sqs.set_queue_attributes(QueueUrl=queue, Attributes=usual)
    path.sqs.purge_queue(QueueUrl=path.outputs["DeadLetterQueue"])


JUNK = ["not json", '{"reason": "whim"}', "[" * 100_000]


def test_junk_becomes_dead_letters_and_blocks_nothing(path: Path, impatient: Callable[[], list[str]]) -> None:
    for junk in JUNK:
        path.send(junk)
    path.put("good.csv")
    wait_for(lambda: path.started() or None)
    assert path.waiting() == len(JUNK)
    dead: list[str] = []
    while len(dead) < len(JUNK):
        dead += wait_for(lambda: impatient() or None)
    assert sorted(dead) == sorted(JUNK)
    assert [run["reason"] for run in path.started()] == ["upload"]
