"""From an event to the run that it starts, on the deployed stack: queue, function, dead letters."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Deployed, wait_for

pytestmark = pytest.mark.cloud


class Path:
    """The deployed path from the events to the runs, and the runs that started since the test began."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed, self.sqs, self.states = deployed, deployed.client("sqs"), deployed.account.states
        self.outputs = deployed.account.outputs
        self.before = set(self.listed())

    def listed(self) -> list[str]:
        machine = self.outputs["StateMachine"]
        runs = self.states.list_executions(stateMachineArn=machine, maxResults=100)["executions"]
        return [run["executionArn"] for run in runs]

    def started(self) -> list[dict[str, Any]]:
        """Return the inputs of the new runs, newest first."""
        new = [arn for arn in self.listed() if arn not in self.before]
        return [json.loads(self.states.describe_execution(executionArn=arn)["input"]) for arn in new]

    def put(self, *names: str) -> None:
        for name in names:
            self.deployed.account.s3.put_object(Bucket=self.outputs["DataBucket"], Key=f"raw/{name}", Body=b"x")

    def drift(self) -> None:
        event = {"Source": "breast-cancer.drift", "DetailType": "Drift", "Detail": "{}"}
        self.deployed.client("events").put_events(Entries=[event])

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.outputs["TriggerQueue"], MessageBody=body)

    def settle(self, runs: int = 1) -> list[dict[str, Any]]:
        """Return the inputs of the new runs once there are so many and the queue is empty."""
        wait_for(lambda: True if len(self.started()) >= runs and self.deployed.waiting() == 0 else None)
        return self.started()

    def dead(self) -> list[str]:
        """Return the bodies of new dead letters."""
        found = self.sqs.receive_message(QueueUrl=self.outputs["DeadLetterQueue"], MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", [])]


@pytest.fixture
def path(deployed: Deployed) -> Iterator[Path]:
    path = Path(deployed)
    path.settle(0)
    deployed.clear()
    yield path
    path.settle(0)


def test_drift_starts_a_run_when_there_is_new_data(path: Path) -> None:
    path.put("a.csv", "b.csv")
    assert [run["reason"] for run in path.settle()] == ["upload"]
    path.drift()
    assert len(path.settle()) == 1
    # No event reports a deletion: there was no run on the rest.
    path.deployed.account.s3.delete_object(Bucket=path.outputs["DataBucket"], Key="raw/b.csv")
    path.drift()
    newest, _ = path.settle(2)
    assert (newest["reason"], newest["data"]["objects"]) == ("drift", 1)


@pytest.fixture
def impatient(path: Path) -> Iterator[Path]:
    """The path with a queue that retries after a second."""
    queue = path.outputs["TriggerQueue"]
    usual = path.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    path.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    yield path
    path.sqs.set_queue_attributes(QueueUrl=queue, Attributes=usual)
    path.sqs.purge_queue(QueueUrl=path.outputs["DeadLetterQueue"])


JUNK = ["not json", '{"reason": "whim"}', "[" * 100_000]


def test_junk_becomes_dead_letters_and_blocks_nothing(impatient: Path) -> None:
    impatient.send(*JUNK)
    impatient.put("good.csv")
    wait_for(lambda: impatient.started() or None)
    assert impatient.deployed.waiting() >= len(JUNK)  # the message that started it may not be deleted yet
    dead: list[str] = []
    while len(dead) < len(JUNK):
        dead += wait_for(lambda: impatient.dead() or None)
    assert sorted(dead) == sorted(JUNK)
    assert [run["reason"] for run in impatient.started()] == ["upload"]
