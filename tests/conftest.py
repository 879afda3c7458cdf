"""One deployed local AWS for every test that wants it: the real CDK CLI, the real template, real jobs."""

import gc
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
import psutil
import pytest
from botocore.loaders import JSONFileLoader
from local_aws.cloud import ACCOUNT, Cloud, running

from cdk import assemblies
from ops import runs
from ops.account import Account
from pipeline.config import load
from tests import iam_report, rotation

T = TypeVar("T")
PROMOTION = ("tests/deployments", "tests/lambdas/predict", "tests/lambdas/trigger")
LONGEST_FIRST = (
    *("machine", "deployed", "promotion", "grants", "bootstrapped", "guarded", "mutants", "cheap", "bare", "local"),
    *("templates", "clients"),
)
"""The groups of tests that one worker runs: what is long begins first, the single tests fill in."""
ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "pipeline.toml"
WDBC = ROOT / "examples" / "breast_cancer" / "wdbc.csv"
BUILD = ROOT / "build"
IAM = BUILD / "iam"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}
"""The environment of a process that is not measured, as other tests pass the same lines: it takes a third less time."""
os.environ.setdefault("CDK_VALIDATION", "false")  # the CDK's own rules only warn, and take a third of a synthesis
_parsed = cache(JSONFileLoader().load_file)
gc.disable()  # while modules are imported nothing is garbage, and looking for it takes a fifth of the time


def _load_once(self: JSONFileLoader, file_path: str) -> Any:
    """A model of botocore, parsed once per process instead of once per session: SageMaker's takes 0.1 s."""
    return _parsed(file_path)


JSONFileLoader.load_file = _load_once  # type: ignore[method-assign]


def pytest_collection_finish() -> None:
    """What was imported stays: the tests' garbage is looked for in the rest."""
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that share a local AWS or templates run in one worker: these are made once.

    Marked here, as xdist reads the groups before `pytest_collection_modifyitems`. Tests of many generated examples are
    not measured: a third of their time would be spent on lines that other tests pass.
    """
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("no_cover")
    stack = "promotion" if item.nodeid.startswith(PROMOTION) else "deployed"
    own = {name: name for name in ("guarded", "bootstrapped", "bare", "clients")}
    groups = {**own, "deployed": stack, "cloud": "local", "path_of": "templates"}
    if found := [groups[name] for name in groups if name in getattr(item, "fixturenames", ())]:
        item.add_marker(pytest.mark.xdist_group(found[0]))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(400))  # whichever is the first one deploys


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long groups first. Of the rotated tests those whose turn it is are not long."""
    items.sort(key=_place)
    short = [item for item in items if not item.get_closest_marker("full")]
    rotated = {item.nodeid: item for item in short if item.get_closest_marker("rotated")}
    for name in rotated.keys() - rotation.chosen(rotated):
        rotated[name].add_marker("full")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which rotated tests have run."""
    found = [each for of_kind in terminalreporter.stats.values() for each in of_kind]
    ran = {each.nodeid for each in found if isinstance(each, pytest.TestReport) and "rotated" in each.keywords}
    if ran:
        terminalreporter.write_line(f"rotated tests, ROTATION={rotation.turn()}:")
    for name in sorted(ran):
        terminalreporter.write_line(f"  {name}")


def _place(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    return LONGEST_FIRST.index(mark.args[0].partition("-")[0]) if mark else len(LONGEST_FIRST)


@dataclass(frozen=True)
class Deployed:
    """The pipeline on a local AWS of its own."""

    cloud: Cloud
    account: Account
    environment: dict[str, str]
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client, made once: to make one takes longer than most calls."""
        if service not in self.clients:
            self.clients[service] = self.account.session.client(service)  # type: ignore[call-overload]
        return self.clients[service]

    def put(self, name: str, body: bytes) -> None:
        """Makes `name` the only object under raw/, which starts a run."""
        self.clear()
        self.account.s3.put_object(Bucket=self.account.outputs["DataBucket"], Key=f"raw/{name}", Body=body)

    def clear(self) -> None:
        bucket = self.account.outputs["DataBucket"]
        for item in self.account.s3.list_objects_v2(Bucket=bucket, Prefix="raw/").get("Contents", []):
            self.account.s3.delete_object(Bucket=bucket, Key=item["Key"])

    def run(self, name: str, body: bytes) -> runs.Run:
        """Uploads, and returns the run that this started once it has ended."""
        before = self.executions()
        self.put(name, body)
        return self.ended(self.started(before))

    def kill_workers(self) -> None:
        """Kill every process of Lambda, and return once all have ended: one that is still ending takes a call along."""
        children = psutil.Process(self.cloud.pid).children(recursive=True)
        workers = [each for each in children if "_worker.py" in " ".join(each.cmdline())]
        for worker in workers:
            worker.kill()
        wait_for(lambda: not any(map(alive, workers)))

    def executions(self) -> set[str]:
        """The ARNs of every run so far."""
        listed = self.account.states.get_paginator("list_executions")
        pages = listed.paginate(stateMachineArn=self.account.outputs["StateMachine"])
        return {execution["executionArn"] for page in pages for execution in page["executions"]}

    def started(self, before: set[str], seconds: float = 300) -> str:
        """The ARN of the run that started since `before`."""
        return wait_for(lambda: next(iter(self.executions() - before), None), seconds)

    def ended(self, execution: str, seconds: float = 300) -> runs.Run:
        return wait_for(lambda: None if (run := runs.describe(self.account, execution)).running else run, seconds)

    def waiting(self) -> int:
        """The number of messages in the trigger's queue: delayed, visible and in flight."""
        queue = self.account.outputs["TriggerQueue"]
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "Delayed", "NotVisible")]
        found = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))

    def history(self, execution: str) -> list[dict[str, Any]]:
        return history(self.account.states, execution)

    def live_config(self) -> str:
        """The config that the endpoint serves; nothing when there is none."""
        sagemaker = self.account.sagemaker
        try:
            found = sagemaker.describe_endpoint(EndpointName=self.account.outputs["Endpoint"])
        except sagemaker.exceptions.ClientError:
            return ""
        return found["EndpointConfigName"] if found["EndpointStatus"] != "Failed" else ""

    def evaluation(self, run: runs.Run) -> Any:
        key = f"runs/{run.name}/evaluation/evaluation.json"
        return json.load(self.account.s3.get_object(Bucket=self.account.outputs["DataBucket"], Key=key)["Body"])

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a program as a user of this local AWS would."""
        return subprocess.run(
            arguments, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=check, timeout=200
        )


def history(states: Any, execution: str) -> list[dict[str, Any]]:
    """The events of an execution; `states` is a boto3 client of Step Functions."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]


def alive(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that has may still wait for its parent."""
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def wait_for(look: Callable[[], T | None], seconds: float = 120) -> T:
    """What `look` returns once that is true; pytest's timeout is the last resort, this the readable one."""
    wait, deadline = 0.05, time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(wait)
        wait = min(1.2 * wait, 0.5)  # each look takes time of the processors that do what is waited for
    raise AssertionError(f"nothing after {seconds} s")


def bootstrap(cloud: Cloud, config: Path = SHIPPED) -> None:
    """Prepares the account as `make run` does."""
    environment = {**_environment(cloud), "PIPELINE_CONFIG": str(config)}
    _succeed(environment, "cdk", "bootstrap", "--app", "", f"aws://{ACCOUNT}/{environment['AWS_REGION']}")
    _succeed(environment, "python", "-m", "ops", "bootstrap")


def _environment(cloud: Cloud) -> dict[str, str]:
    return {
        **os.environ,
        **cloud.environment,
        **UNMEASURED,
        "PATH": f"{ROOT / '.venv' / 'bin'}:{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}",
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": cloud.environment["AWS_REGION"],
    }


def _succeed(environment: dict[str, str], *command: str) -> None:
    made = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def deploy(
    cloud: Cloud,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bootstrapped: bool = False,
    as_a_user: bool = False,
) -> Deployed:
    """Bootstraps and deploys: as `make run` does, or what is synthesised here, for half the time."""
    environment = {**_environment(cloud), "PIPELINE_CONFIG": str(config)}
    region = environment["AWS_REGION"]

    def synthesise(out: Path) -> None:
        from cdk.app import build  # starts Node, which few of the processes that read this file need

        build(load(config), region=region, account=ACCOUNT, out=out).synth()

    if as_a_user:
        command = ["python", "-m", "cdk.assemblies", str(BUILD / "assemblies")]
        out = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    else:
        out = str(assemblies.assembly(BUILD / "test-assemblies", assemblies.key(config), synthesise))
    if not bootstrapped:
        bootstrap(cloud, config)
    _succeed(environment, "cdk", "deploy", "--all", "--require-approval", "never", "--app", out.strip())
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    account = Account(Account.of(str(config)).settings, boto3.Session(region_name=region))
    return Deployed(cloud, account, environment)


@contextmanager
def recorded(name: str) -> Iterator[Cloud]:
    """A local AWS whose decisions about permissions are left in build/iam, for `make iam`."""
    IAM.mkdir(parents=True, exist_ok=True)
    decisions = IAM / f"{WORKER}-{name}.jsonl"
    decisions.unlink(missing_ok=True)
    with running(environment={"SFN_WAIT_SCALE": "0.01", "IAM_DECISIONS": str(decisions), **UNMEASURED}) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The shipped settings; for the tests of PROMOTION they are not synthesised by the CLI."""
    promotion = os.environ["PYTEST_CURRENT_TEST"].startswith(PROMOTION)
    with pytest.MonkeyPatch.context() as patched, recorded("deployed") as cloud:
        made = deploy(cloud, SHIPPED, patched, as_a_user=not promotion)
        yield made
        granted = iam_report.policies(made.client("iam"), made.account.settings.project.name)
        (IAM / f"{WORKER}.json").write_text(json.dumps(granted, indent=1))


@pytest.fixture(scope="session")
def live(deployed: Deployed) -> Deployed:
    """The pipeline after its first accepted run."""
    run = deployed.run("wdbc.csv", WDBC.read_bytes())
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    return deployed


def queue_of_notifications(deployed: Deployed, name: str) -> tuple[str, str, str]:
    """The URL and the ARN of a new queue that SNS and EventBridge may fill, and the ARN of its subscription."""
    sqs, topic = deployed.client("sqs"), deployed.account.outputs["Topic"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    senders = {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    allowed = {"Effect": "Allow", "Principal": senders, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    subscription = deployed.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue, arn, subscription["SubscriptionArn"]


@contextmanager
def subscribed(deployed: Deployed) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A queue subscribed to the notification topic; call it for the messages that came since."""
    sqs = deployed.client("sqs")
    queue, _, subscription = queue_of_notifications(deployed, "notifications")

    def messages() -> list[dict[str, Any]]:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(json.loads(message["Body"])["Message"]) for message in received]

    yield messages
    deployed.client("sns").unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)
