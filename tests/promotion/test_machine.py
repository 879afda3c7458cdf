"""Any order of uploads, finishes, failures, kills, rollbacks and racing runs, on the deployed state machine.

Real are the state machine, its Lambdas, the lease, the registry, the endpoint's processes and its traffic; only the
jobs' own programs are small ones (small_jobs.py), so that a run takes a second, and S3's events are off, so that
nothing starts that the test did not ask for.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from local.cloud import running
from ops import promote, runs
from ops.promote import NothingToDo
from tests.conftest import wait_for
from tests.promotion import small_jobs
from tests.promotion.world import World, settings_file, world

pytestmark = pytest.mark.cloud

GOOD = {"quality": 0.99, "wrong": False}
DATA = [
    GOOD,
    {"quality": 0.995, "wrong": False},
    {"quality": 0.982, "wrong": False},
    {"quality": 0.5, "wrong": False},
    {"quality": 0.999, "wrong": True},
]
FAULTS = [
    ("CreateTrainingJob", "ResourceLimitExceeded", 2),
    ("CreateTrainingJob", "ResourceLimitExceeded", 9),
    ("CreateModelPackage", "ThrottlingException", 1),
    ("UpdateEndpoint", "ThrottlingException", 2),
    ("ProcessingJob", "Kill", 1),
    ("TrainingJob", "Exit", 1),
    ("TrainingJob", "NoOutput", 1),
    ("TransformJob", "Kill", 1),
    ("Endpoint", "CapacityError", 1),
    ("Endpoint", "NeverReady", 1),
    ("Endpoint", "Answers500", 1),
]
MOMENTS = ["WaitForLease", "Train", "ScoreBoth", "UpdateEndpoint", "CheckEndpoint", "SmokeTest"]
ENDED = ("FreeLease", "FreeLeaseOfFailed")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("small")
    program = Path(small_jobs.__file__)
    quick = ["{python}", "-I", "-S", str(program)]
    learner = {
        "train": [*quick, "train", "--root", "{root}"],
        "serve": [*quick, "serve", "--root", "{root}", "--port", "{port}"],
    }
    (folder / "images.json").write_text(json.dumps({"linear-learner": learner}))
    environment = {"SFN_WAIT_SCALE": "0.001", "SAGEMAKER_IMAGES": str(folder / "images.json")}
    with pytest.MonkeyPatch.context() as patched, running(environment=environment) as cloud:
        config = settings_file(folder, "small", "keep = 3")
        with world(cloud, config, folder / "cdk.out", patched, bootstrapped=False) as made:
            put_small_jobs(made, program)
            bucket = made.account.outputs["DataBucket"]
            made.account.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
            made.add("data.json", json.dumps(GOOD).encode())
            assert made.ended(made.by_hand()).outcome == "accepted"
            yield made


def put_small_jobs(made: World, program: Path) -> None:
    """The jobs' zip, with another program in it."""
    machine = made.account.states.describe_state_machine(stateMachineArn=made.account.outputs["StateMachine"])
    uri = next(
        source["S3Input"]["S3Uri"]
        for source in json.loads(machine["definition"])["States"]["Preprocess"]["Parameters"]["ProcessingInputs"]
        if source["InputName"] == "code"
    )
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(program, "__main__.py")
    made.account.s3.put_object(Bucket=bucket, Key=key, Body=archive.getvalue())


class Promotion(RuleBasedStateMachine):
    """An example: what is done, one step after another, while runs go on by themselves."""

    def __init__(self, small: World) -> None:
        super().__init__()
        self.world, self.account = small, small.account
        self.started: list[str] = []
        self.killed: set[str] = set()
        self.put(GOOD)

    # --- what is done

    def put(self, data: dict[str, Any]) -> None:
        self.world.add("data.json", json.dumps(data).encode())

    def ask(self) -> dict[str, str]:
        functions = self.world.deployed.client("lambda")
        answer = functions.invoke(FunctionName=self.account.outputs["Retrain"], Payload=b'{"reason": "manual"}')
        assert "FunctionError" not in answer
        return dict(json.load(answer["Payload"]))

    @rule(data=st.sampled_from(DATA))
    def upload(self, data: dict[str, Any]) -> None:
        self.put(data)
        answer = self.ask()
        assert answer["result"] == "started"
        self.started.append(answer["execution"])

    @precondition(lambda self: self.started)
    @rule()
    def event_again(self) -> None:
        """The same event once more starts nothing."""
        if self.ask()["result"] == "started":  # nothing was uploaded since __init__
            newest = next(run for run in self.world.newest_first())
            assert newest.arn not in self.started
            self.started.append(newest.arn)

    @rule(fault=st.sampled_from(FAULTS))
    def go_wrong(self, fault: tuple[str, str, int]) -> None:
        on, kind, times = fault
        self.world.order({"on": on, "fault": kind, "times": times})

    @rule()
    def start_by_hand(self) -> None:
        self.started.append(self.world.by_hand())

    @rule()
    def roll_back(self) -> None:
        try:
            self.started.append(promote.rollback(self.account))
        except NothingToDo:
            event("nothing to roll back to")

    def running(self) -> list[str]:
        return [arn for arn in self.started if runs.describe(self.account, arn).running]

    @precondition(lambda self: self.running())
    @rule(moment=st.sampled_from(MOMENTS), newest=st.booleans())
    def kill(self, moment: str, newest: bool) -> None:
        """Abort a run as soon as it has come to this state, or at its end, which is no abort."""
        if alive := self.running():
            execution = alive[-1 if newest else 0]
            wait_for(lambda: moment in self.world.entered(execution) or execution not in self.running() or None)
            if execution in self.running():
                self.account.states.stop_execution(executionArn=execution)
                self.killed.add(execution)
                event(f"killed at {moment}")

    @precondition(lambda self: self.running())
    @rule()
    def finish(self) -> None:
        for execution in self.started:
            self.world.ended(execution)

    # --- what holds at every moment

    @invariant()
    def what_is_live_was_accepted(self) -> None:
        """The live config's model is an Approved package, if the same config is live after the look."""

        def look() -> bool | None:
            before = self.world.live()
            fine = not before or self.world.package_of(self.world.model()) == "Approved"
            return True if fine or self.world.live() == before else None

        assert wait_for(look)
        live = self.world.live()
        assert not live or self.world.package_of(self.world.model()) == "Approved" or self.world.live() != live

    # --- what holds in the end

    def teardown(self) -> None:
        self.finish()
        self.world.order()
        self.world.settled()
        self.no_two_at_once()
        self.nothing_older_is_live()
        self.what_is_live_was_accepted()
        wait_for(lambda: True if "owner" not in self.world.lease() else None)
        wait_for(lambda: True if self.world.processes() == {"jobs": 0, "servers": 1} else None)
        for execution in self.started:
            event(self.world.told(execution)["outcome"])

    def turns(self) -> list[tuple[Any, Any, runs.Run]]:
        """When each run got the lease and gave it back, by the time that it did."""
        found = []
        for execution in set(self.started):
            run = runs.describe(self.account, execution)
            at = {
                e["stateEnteredEventDetails"]["name"]: e["timestamp"]
                for e in self.world.history(execution)
                if "stateEnteredEventDetails" in e
            }
            if "FindEndpoint" in at:
                found.append(
                    (at["FindEndpoint"], min((at[name] for name in ENDED if name in at), default=run.stopped), run)
                )
        return sorted(found, key=lambda turn: turn[0])

    def no_two_at_once(self) -> None:
        """One updater at most."""
        assert all(before[1] <= after[0] for before, after in pairwise(self.turns()))

    def nothing_older_is_live(self) -> None:
        """The newest accepted run's config serves, or that of a later run that was killed as it released."""
        in_order = [run for _, _, run in self.turns()]
        accepted = [number for number, run in enumerate(in_order) if run.outcome == "accepted"]
        if accepted:
            later = [run for run in in_order[accepted[-1] + 1 :] if run.arn in self.killed]
            assert self.world.live() in {config(run) for run in [in_order[accepted[-1]], *later]}


def config(run: runs.Run) -> str:
    """The name of a run's endpoint config."""
    return f"small-{hashlib.md5(run.name.encode(), usedforsecurity=False).hexdigest()}"


@pytest.mark.parametrize(
    "examples", [pytest.param(30), pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(2400)])]
)
def test_nothing_worse_goes_live_in_any_order_of_what_can_happen(small: World, examples: int) -> None:
    run_state_machine_as_test(
        lambda: Promotion(small),
        settings=settings(
            max_examples=examples,
            stateful_step_count=8,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
