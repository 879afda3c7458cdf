"""The pipeline under test: the faults that are injected, and the observations."""

import json
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests
from local_aws.linear_learner import recordio
from local_aws.signed import request
from requests.adapters import HTTPAdapter

from ops import predict, runs
from tests.conftest import ROOT, WDBC, Deployed, queue_of_notifications, wait_for
from tests.lambdas.predict.signed import Signed

HEADER, *ROWS = WDBC.read_text().splitlines()
CANARY = 0.1
LEAST = 5
"""The answers that a consumer gets at least: of none all are right."""
POLLING = {"AcquireLease", "FindChampion", "WaitForEndpoint", "WaitForChampion"}
"""States whose retries are how they wait."""
WAY_BACK = {"HasChampion", "RestoreChampion", "WaitForChampion", "DeleteEndpoint", "IsNewPackage", "RejectPackage"}
AFTERWARDS = WAY_BACK | {"Deploy", "DeleteModel", "Scored", "FinishFailed", "Failed", "Finish"}
"""States that follow the one that failed."""
PARTS = dict.fromkeys(("ScoreChallenger", "HasLiveModel", "FindChampionsRows", "ScoreChampion"), "ScoreHoldout")
"""The states inside a parallel state."""
NO_TASKS = {*PARTS.values(), "HasLiveModel"}
"""The parallel states, and the Choice inside."""


def settings_file(folder: Path, name: str, release: str, *, bake: int = 60, **lines: str) -> Path:
    """pipeline.toml under another project's name, with a short canary and short limits, and `release` on top."""
    text = (ROOT / "pipeline.toml").read_text()
    for old, new in (("breast-cancer", name), ("max_runtime_minutes = 60", "max_runtime_minutes = 2")):
        text = text.replace(old, new)
    canary = f'[release]\nrollout = "canary"\nbake_seconds = {bake}\n{release}\n\n'
    text = re.sub(r"\[release\].*?\n\n", canary, text, flags=re.S)
    for old, new in lines.items():
        text, count = re.subn(rf"^{old} = .*$", new, text, flags=re.M)
        assert count == 1, old
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


def data(rows: list[str] | None = None) -> bytes:
    return "\n".join([HEADER, *(ROWS if rows is None else rows)]).encode()


def relabelled(every: int) -> bytes:
    """The data with the label of every nth row turned around."""
    turned = {"M": "B", "B": "M"}
    split = [row.split(",", 2) for row in ROWS]
    labels = [turned[label] if number % every == 0 else label for number, (_, label, _) in enumerate(split)]
    return data([f"{first},{label},{rest}" for label, (first, _, rest) in zip(labels, split, strict=True)])


class Traffic:
    """Consumers who post a row whose label is known, again and again, and keep each answer; they never ask twice.

    `pause` seconds are between an answer and the next request. LEAST answers must have come in the end.
    """

    def __init__(self, deployed: Deployed, consumers: int = 1, *, pause: float = 0.1) -> None:
        self._url, self._row, self._pause = deployed.account.api_url, predict.example(deployed.account).row, pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(consumers)]
        self._answers: list[tuple[datetime, str]] = []

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:  # few answers say nothing
                wait_for(lambda: len(self._answers) >= LEAST)
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=0))
            session.auth = Signed()
            while not self._stop.wait(self._pause):
                try:
                    answer = session.post(self._url, json={"data": self._row}, timeout=30)
                    found = str(answer.json()) if answer.ok else f"{answer.status_code} {answer.text}"
                except requests.RequestException as error:
                    found = f"lost: {error}"
                self._answers.append((datetime.now(UTC), found))

    @property
    def answers(self) -> list[str]:
        return [answer for _, answer in self._answers]

    def between(self, start: datetime, end: datetime) -> list[str]:
        """The answers that came in this time."""
        return [answer for when, answer in self._answers if start <= when <= end]

    @property
    def failed(self) -> list[str]:
        return [answer for answer in self.answers if answer != "B"]


@dataclass(frozen=True)
class World:
    """A deployed pipeline with a queue that receives all its notifications."""

    deployed: Deployed
    queue: str
    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Any:
        return self.deployed.account

    @property
    def endpoint(self) -> str:
        return str(self.account.outputs["Endpoint"])

    # --- actions

    def faults(self) -> dict[str, list[dict[str, Any]]]:
        """The faults that are left to strike, and those that have struck."""
        to_faults = {"X-Amz-Target": "SageMaker.LocalFaults"}
        with urllib.request.urlopen(request(self.deployed.cloud, headers=to_faults)) as answer:
            return dict(json.load(answer))

    def inject(self, *faults: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Faults of the local SageMaker in place of those before, which are returned."""
        before, to_faults = self.faults(), {"X-Amz-Target": "SageMaker.LocalFaults"}
        urllib.request.urlopen(
            request(self.deployed.cloud, body=json.dumps(faults).encode(), headers=to_faults)
        ).close()
        return before

    def start(self, body: bytes | None = None) -> str:
        """The execution that an upload starts."""
        before = self.deployed.executions()
        self.deployed.put(f"{time.monotonic_ns()}.csv", data() if body is None else body)
        return self.deployed.started(before)

    def ended(self, execution: str) -> runs.Run:
        return self.deployed.ended(execution)

    def run(self, body: bytes | None = None) -> runs.Run:
        return self.ended(self.start(body))

    def in_state(self, execution: str, *states: str) -> None:
        """Wait until the execution has entered one of these."""
        wait_for(lambda: set(states) & set(self.entered(execution)))

    def add(self, name: str, body: bytes) -> None:
        self.account.s3.put_object(Bucket=self.account.outputs["DataBucket"], Key=f"raw/{name}", Body=body)

    def by_hand(self, **request: bool) -> str:
        """An execution that nobody asked to be on certain data; with `force` it preprocesses anew."""
        machine, given = self.account.outputs["StateMachine"], json.dumps(request)
        return str(self.account.states.start_execution(stateMachineArn=machine, input=given)["executionArn"])

    def give_lease(self, owner: str) -> None:
        self.deployed.client("dynamodb").update_item(
            TableName=self.account.outputs["Lease"],
            Key={"endpoint": {"S": self.endpoint}},
            UpdateExpression="SET #o = :o",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":o": {"S": owner}},
        )

    def stop(self, execution: str) -> None:
        self.account.states.stop_execution(executionArn=execution, error="Aborted", cause="by a person")

    # --- observations

    def live(self) -> str:
        """The config that the endpoint serves; nothing when there is none."""
        return self.deployed.live_config()

    def settled(self) -> None:
        """Wait until nothing is being changed."""

        def changing() -> list[Any]:
            listed = self.account.sagemaker.list_endpoints(NameContains=self.endpoint)["Endpoints"]
            own = [each["EndpointStatus"] for each in listed if each["EndpointName"] == self.endpoint]
            return [status for status in own if status not in ("InService", "Failed")]

        wait_for(lambda: not changing())

    def at_rest(self) -> None:
        """Nothing is being changed, nobody has the lease, and one model is served."""
        self.settled()
        assert {"owner", "approval", "package"}.isdisjoint(self.lease())
        wait_for(lambda: self.processes() == {"jobs": 0, "servers": 1})  # a stopped job takes a moment to end

    def lease_is_free(self) -> bool:
        """Whether a run could take the lease: a Lambda at work when its run is stopped may take it for a dead owner."""
        owner = self.lease().get("owner", {}).get("S")
        return not owner or self.account.states.describe_execution(executionArn=owner)["status"] != "RUNNING"

    def lease(self) -> dict[str, Any]:
        key = {"endpoint": {"S": self.endpoint}}
        table = self.account.outputs["Lease"]
        found = self.deployed.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))

    def deployment(self, run: str) -> str:
        """The ARN of the deployment that a run starts."""
        machine, name = self.account.outputs["DeployMachine"], run.rpartition(":")[2]
        return f"{machine.replace(':stateMachine:', ':execution:')}:{runs.md5(name)}-0"

    def histories(self, execution: str) -> list[dict[str, Any]]:
        """The events of an execution, then those of the deployment that it started."""
        events = self.deployed.history(execution)
        if any(event.get("stateEnteredEventDetails", {}).get("name") == "Deploy" for event in events):
            with suppress(self.account.states.exceptions.ExecutionDoesNotExist):
                events += self.deployed.history(self.deployment(execution))
        return events

    def entered(self, execution: str) -> list[str]:
        """The states that were entered, in order; those of its deployment after its own."""
        return [name for name, _ in entries(self.histories(execution))]

    def switch(self, execution: str) -> tuple[datetime, datetime] | None:
        """When the deployment of an execution began to wait for the endpoint's update, and when it went on."""
        names, times = zip(*entries(self.histories(execution)), strict=True)
        if "WaitForEndpoint" not in names:
            return None
        at = names.index("WaitForEndpoint")
        return times[at], times[at + 1] if at + 1 < len(times) else datetime.now(UTC)

    def failed_at(self, execution: str) -> str:
        """The state that failed, of the execution or its deployment; the states after it only end the execution."""
        state = [state for state in self.entered(execution) if state not in AFTERWARDS][-1]
        return PARTS.get(state, state)

    def retried(self, execution: str) -> Counter[str]:
        """How often the task of a state was retried; of a parallel state's tasks together."""
        attempts, usual, state = Counter[str](), Counter[str](), ""
        for event in self.histories(execution):
            if "stateEnteredEventDetails" in event:
                state = PARTS.get(name := event["stateEnteredEventDetails"]["name"], name)
                usual[state] += name not in NO_TASKS
            attempts[state] += event["type"] == "TaskScheduled"
        counted = {name: count - usual[name] for name, count in attempts.items() if name not in POLLING}
        return Counter({name: count for name, count in counted.items() if count > 0})

    def waits_for_lease(self, execution: str) -> bool:
        """Whether the execution was refused the lease and tries again."""
        failures = [event.get("taskFailedEventDetails", {}) for event in self.deployed.history(execution)]
        return any(failure.get("error") == "LeaseHeld" for failure in failures)

    def package(self, key: str) -> str:
        """The approval status of a package, by its ARN or that of its execution; nothing when there is none."""
        sagemaker = self.account.sagemaker
        if key not in self.packages:
            pages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=self.endpoint, SortBy="CreationTime", SortOrder="Descending"
            )
            for arn in (summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]):
                if arn in self.packages.values():
                    break
                found = sagemaker.describe_model_package(ModelPackageName=arn)
                self.packages.update({arn: arn, found["CustomerMetadataProperties"]["execution"]: arn})
        if key not in self.packages:
            return ""
        return str(sagemaker.describe_model_package(ModelPackageName=self.packages[key])["ModelApprovalStatus"])

    def notification(self, execution: str, kind: str = "Run ended") -> dict[str, Any]:
        """The SNS message about this execution, once the EventBridge event with the same document has come."""

        def both() -> dict[str, Any] | None:
            self.receive()
            about = [each for each in self.received if each[1].get("execution") == execution]
            events = [document for found, document in about if found == kind]
            return next((document for found, document in reversed(about) if not found and document in events), None)

        return dict(wait_for(both))

    def receive(self) -> None:
        sqs = self.deployed.client("sqs")
        for message in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            body = json.loads(message["Body"])
            event = "detail" in body
            self.received.append((body["detail-type"], body["detail"]) if event else ("", json.loads(body["Message"])))
            sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def processes(self) -> dict[str, int]:
        """Processes of jobs, and of this endpoint's model servers."""
        home = self.deployed.cloud.home.resolve()
        found: Counter[str] = Counter()
        for process in psutil.Process(self.deployed.cloud.pid).children(recursive=True):
            try:
                place = Path(process.cwd())
            except psutil.Error:
                continue
            found["jobs"] += place.is_relative_to(home / "jobs")
            found["servers"] += place.is_relative_to(home / "endpoints" / self.endpoint)
        return dict(found)

    def newest_first(self) -> list[runs.Run]:
        """All runs."""
        found = [runs.describe(self.account, arn) for arn in self.deployed.executions()]
        return sorted(found, key=lambda run: run.started, reverse=True)

    def files(self, run: runs.Run, *folders: str) -> list[bytes]:
        """The files in these of the run's folders; of preprocessed rows in those of the run that preprocessed."""
        bucket, s3 = self.account.outputs["DataBucket"], self.account.s3
        rows = runs.file_of(self.account, run.name, "listing/preprocessed.json").get("run", run.name)
        names = {folder: run.name if folder.startswith("predictions") else rows for folder in folders}
        prefixes = [f"rows/{name}/{folder}" + "/" * ("/" not in folder) for folder, name in names.items()]
        listed = [s3.list_objects_v2(Bucket=bucket, Prefix=prefix) for prefix in prefixes]
        keys = [item["Key"] for found in listed for item in found.get("Contents", [])]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]

    def lines(self, run: runs.Run, *folders: str) -> list[str]:
        """The lines of all files in these of the run's folders."""
        return [line for text in self.files(run, *folders) for line in text.decode().splitlines()]

    def rows(self, run: runs.Run) -> int:
        """How many rows a run has trained, selected and tested by."""
        learnt = [len(recordio.parse(file, labelled=True)) for file in self.files(run, "train", "validation")]
        return sum(learnt) + len(self.lines(run, "labels"))

    def model(self, config: str = "") -> str:
        """The ARN of the package of a config's model, the live one's by default."""
        sagemaker = self.account.sagemaker
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config or self.live())["ProductionVariants"][0]
        (container,) = sagemaker.describe_model(ModelName=variant["ModelName"])["Containers"]
        return str(container["ModelPackageName"])

    def live_was_asked(self) -> bool:
        """Whether the deployment that made what is live succeeded, or the smoke test was made after its end."""
        sagemaker = self.account.sagemaker
        arn = sagemaker.describe_endpoint_config(EndpointConfigName=self.live())["EndpointConfigArn"]
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        deployment = self.account.states.describe_execution(executionArn=tags["execution"])
        return "smoke-test" in tags or deployment["status"] == "SUCCEEDED"

    def live_run(self) -> str:
        """The ARN of the execution that trained what is live."""
        package = self.account.sagemaker.describe_model_package(ModelPackageName=self.model())
        return str(package["CustomerMetadataProperties"]["execution"])


def subscribed(made: Deployed) -> World:
    """The deployed pipeline with a queue that receives its notifications."""
    events, name = made.client("events"), made.account.settings.project.name
    queue, arn, _ = queue_of_notifications(made, f"{name}-notifications")
    events.put_rule(Name=f"{name}-notifications", EventPattern=json.dumps({"source": [f"{name}.pipeline"]}))
    events.put_targets(Rule=f"{name}-notifications", Targets=[{"Id": "queue", "Arn": arn}])
    return World(made, queue)


def entries(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """The states that were entered, in order, each with its time."""
    found = [(event.get("stateEnteredEventDetails"), event["timestamp"]) for event in events]
    return [(details["name"], when) for details, when in found if details]


@contextmanager
def edited(world: World, change: Callable[[Any], None], machine: str = "StateMachine") -> Iterator[None]:
    """A deployed state machine with something in its definition changed for a while."""
    machine = world.account.outputs[machine]
    before = world.account.states.describe_state_machine(stateMachineArn=machine)["definition"]
    definition = json.loads(before)
    change(definition)
    world.account.states.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))
    try:
        yield
    finally:
        world.account.states.update_state_machine(stateMachineArn=machine, definition=before)
