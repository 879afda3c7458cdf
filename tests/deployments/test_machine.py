"""Any order of uploads, finishes, failures, kills, rollbacks and racing runs, on the deployed state machine.

Real are the state machine, its Lambdas, the lease, the registry, the endpoint's processes and its traffic; only the
jobs' own programs are small ones (small_jobs.py), so that a run takes a second, and S3's events are off, so that
nothing starts that the test did not ask for.
"""

import io
import json
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from local_aws.cloud import running

from ops import retrain, runs
from ops.account import NothingToDo
from tests.conftest import deploy, wait_for
from tests.deployments import small_jobs
from tests.deployments.world import World, edited, entries, settings_file, subscribed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600), pytest.mark.xdist_group("machine")]

CHOICES = tomllib.loads(Path(__file__).with_name("choices.toml").read_text("utf-8"))
DATA, FAULTS, MOMENTS = (CHOICES[name] for name in ("data", "faults", "moments"))
GOOD = DATA[0]
UPLOAD = st.tuples(st.just("upload"), st.sampled_from(DATA))
STEPS = st.one_of(
    UPLOAD,
    UPLOAD,
    st.tuples(st.just("start_by_hand"), st.none()),
    st.tuples(st.just("go_wrong"), st.sampled_from(FAULTS)),
    st.tuples(st.just("kill"), st.tuples(st.sampled_from(MOMENTS), st.booleans())),
    st.tuples(st.sampled_from(["event_again", "roll_back", "finish"]), st.none()),
)
ACQUIRED, ENDED = ("FindChampion", "DescribePackage"), ("Finish", "FinishFailed")
"""States of a retrain or deploy execution that has just acquired the lease, and that frees it."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("small")
    program = Path(small_jobs.__file__)
    quick = ["{python}", "-I", "-S", str(program)]
    serve = [*quick, "serve", "--root", "{root}", "--port", "{port}"]
    learner = {"train": [*quick, "train", "--root", "{root}"], "serve": serve}
    (folder / "images.json").write_text(json.dumps({"linear-learner": learner}))
    environment = {
        "SFN_WAIT_SCALE": "0.0005",
        "SAGEMAKER_IMAGES": str(folder / "images.json"),
        "COVERAGE_PROCESS_CONFIG": "",  # not measured: a quarter of the time, and other tests pass the same lines
    }
    with pytest.MonkeyPatch.context() as patched, running(environment=environment) as cloud:
        config = settings_file(folder, "small", "keep = 3", bake=10)
        made = subscribed(deploy(cloud, config, patched))
        put_small_jobs(made, program)
        bucket = made.account.outputs["DataBucket"]
        made.account.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        made.add("data.json", json.dumps(GOOD).encode())
        assert made.ended(made.by_hand()).outcome == "accepted"
        yield made


def put_small_jobs(made: World, program: Path) -> None:
    """The jobs' zip, with another program in it."""
    machine = made.account.states.describe_state_machine(stateMachineArn=made.account.outputs["StateMachine"])
    sources = json.loads(machine["definition"])["States"]["Preprocess"]["Parameters"]["ProcessingInputs"]
    (uri,) = (source["S3Input"]["S3Uri"] for source in sources if source["InputName"] == "code")
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(program, "__main__.py")
    made.account.s3.put_object(Bucket=bucket, Key=key, Body=archive.getvalue())


class Promotion(RuleBasedStateMachine):
    """An example: what is done, one step after another, while runs go on by themselves."""

    def __init__(self, small: World, broken: list[str]) -> None:
        super().__init__()
        self.broken, self.steps = broken, list[str]()
        self.world, self.account = small, small.account
        self.started: list[str] = []
        self.killed: set[str] = set()
        self.put(GOOD)

    def expect(self, holds: bool, what: str) -> None:
        """Hypothesis calls a failure that does not come again flaky, whatever it was: so each is kept in words."""
        if not holds:
            self.broken.append(f"not so: {what}, after {', '.join(self.steps)}; runs {self.started}")
            raise AssertionError(self.broken[-1])

    # --- what is done

    def put(self, data: dict[str, Any]) -> None:
        self.world.add("data.json", json.dumps(data).encode())

    def ask(self) -> dict[str, str]:
        functions = self.world.deployed.client("lambda")
        answer = functions.invoke(FunctionName=self.account.outputs["TriggerFunction"], Payload=b'{"reason": "manual"}')
        assert "FunctionError" not in answer
        return dict(json.load(answer["Payload"]))

    @rule(step=STEPS)
    def step(self, step: tuple[str, Any]) -> None:
        """One rule for all: by rules of their own Hypothesis would leave most of them out of most examples."""
        what, argument = step
        self.steps.append(f"{what} {argument}")
        getattr(self, what)(argument)

    def upload(self, data: dict[str, Any]) -> None:
        self.put(data)
        answer = self.ask()
        self.expect(answer["result"] == "started", f"new data starts a run, but {answer}")
        self.started.append(answer["execution"])

    def event_again(self, _: None) -> None:
        """The same event once more starts nothing."""
        answer = self.ask()
        if answer["result"] == "started":  # the data that __init__ put has had no run yet
            self.expect(answer["execution"] not in self.started, "known data starts nothing")
            self.started.append(answer["execution"])

    def go_wrong(self, fault: tuple[str, str, int]) -> None:
        on, kind, times = fault
        self.world.inject({"on": on, "fault": kind, "times": times})

    def start_by_hand(self, _: None) -> None:
        self.started.append(self.world.by_hand())

    def roll_back(self, _: None) -> None:
        try:
            self.started.append(retrain.start_rollback(self.account))
        except NothingToDo:
            event("nothing to roll back to")

    def kill(self, target: tuple[str, bool]) -> None:
        """Abort a run as soon as it has come to this state; one that ends before is spared."""
        moment, newest = target
        if alive := self.running():
            execution = alive[-1 if newest else 0]
            wait_for(lambda: moment in self.world.entered(execution) or execution not in self.running())
            if execution in self.running():
                self.account.states.stop_execution(executionArn=execution)
                self.killed.add(execution)
                event(f"killed at {moment}")

    def finish(self, _: None) -> None:
        for execution in self.started:
            self.world.ended(execution)

    def running(self) -> list[str]:
        return [arn for arn in self.started if runs.describe(self.account, arn).running]

    # --- what holds at every moment

    @invariant()
    def what_is_live_was_accepted(self) -> None:
        """The live config's model is an Approved package, if the same config is live after the look."""

        live = self.world.live()
        # A run that takes its model back puts the old one live first and then disowns the package.
        approved = self.world.package(self.world.model(live)) == "Approved"
        self.expect(approved or self.world.live() != live, f"{live} is of an approved package")

    # --- what holds in the end

    def teardown(self) -> None:
        self.finish(None)
        self.world.inject()
        self.world.settled()
        self.no_two_at_once()
        self.nothing_older_is_live()
        self.what_is_live_was_asked()
        self.what_is_live_was_accepted()
        wait_for(self.world.lease_is_free)
        wait_for(lambda: self.world.processes() == {"jobs": 0, "servers": 1})
        for execution in self.started:
            event(self.world.notification(execution)["outcome"])

    def turns(self) -> list[tuple[Any, Any, runs.Run]]:
        """When each run got the lease and gave it back, by the time that it did."""
        found = []
        for execution in set(self.started):
            run = runs.describe(self.account, execution)
            at = dict(entries(self.world.deployed.history(execution)))
            acquired = min((at[name] for name in ACQUIRED if name in at), default=None)
            if acquired is not None:
                found.append((acquired, min((at[name] for name in ENDED if name in at), default=run.stopped), run))
        return sorted(found, key=lambda turn: turn[0])

    def no_two_at_once(self) -> None:
        """One updater at most."""
        turns = self.turns()
        self.expect(all(before[1] <= after[0] for before, after in pairwise(turns)), f"one after the other: {turns}")

    def nothing_older_is_live(self) -> None:
        """The newest accepted run's config serves, or that of a later run that was killed as it released."""
        in_order = [run for _, _, run in self.turns()]
        accepted = [number for number, run in enumerate(in_order) if run.outcome == "accepted"]
        if accepted:
            later = [run for run in in_order[accepted[-1] + 1 :] if run.arn in self.killed]
            may = {config(run) for run in [in_order[accepted[-1]], *later]}
            self.expect(self.world.live() in may, f"{self.world.live()} is one of {may}")

    def what_is_live_was_asked(self) -> None:
        """Its deployment succeeded, or what came live without it was asked afterwards."""
        wait_for(self.world.live_was_asked)


def config(run: runs.Run) -> str:
    """The name of the endpoint config that a run's deployment, or a deployment itself, makes."""
    retrained = f":{run.arn.split(':')[6]}" == ":small-retrain"
    return f"small-{runs.md5(f'{run.id}-0' if retrained else run.name)}"


def explore(small: World, examples: int) -> None:
    broken: list[str] = []
    profile = settings(
        max_examples=examples,
        stateful_step_count=5,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(lambda: Promotion(small, broken), settings=profile)
    except Exception:
        if not broken:
            raise
    assert not broken, broken


@pytest.mark.parametrize(
    "examples", [pytest.param(6), pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]
)
def test_nothing_worse_goes_live_in_any_order_of_what_can_happen(small: World, examples: int) -> None:
    explore(small, examples)


def lease_for_all(states: Any) -> None:
    """The request as the lease's Lambda returns it, without the lease."""
    acquire = states["AcquireLease"]
    defaults = acquire["Parameters"]["Payload"]["defaults"]
    merged = f"States.JsonMerge(States.StringToJson('{json.dumps(defaults)}'), $$.Execution.Input, false)"
    states["AcquireLease"] = {"Type": "Pass", "Parameters": {"request.$": merged}, "Next": acquire["Next"]}


def status_believed(states: Any) -> None:
    """Whatever config the endpoint has when it is InService."""
    if "WaitForEndpoint" in states:
        states["WaitForEndpoint"]["Parameters"]["Payload"] = {"wait_for": "champion"}


def gate_open(states: Any) -> None:
    """A rejected package goes on to the deployment, which takes it."""
    if "RegisterRejected" in states:
        states["RegisterRejected"]["Next"] = "Deploy"
    else:
        states["PackageApproved"] = {"Type": "Pass", "Next": states["PackageApproved"]["Default"]}


def planted(definition: Any, plant: Callable[[Any], None]) -> None:
    """Plants the fault and removes the states that become unreachable, as a machine with such a state is refused."""
    states, found = definition["States"], {definition["StartAt"]}
    plant(states)
    while more := {name for each in found for name in after(states[each])} - found:
        found |= more
    for name in states.keys() - found:
        del states[name]


def after(state: Any) -> set[str]:
    """Where a state may lead."""
    places = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    return {place[key] for place in places for key in ("Next", "Default") if key in place}


@pytest.mark.full
@pytest.mark.parametrize(
    ("plant", "expected"),
    [(lease_for_all, "one after the other"), (status_believed, "is one of"), (gate_open, "is of an approved package")],
)
def test_it_finds_a_fault_that_is_planted_in_the_state_machine(
    small: World, plant: Callable[[Any], None], expected: str
) -> None:
    def change(definition: Any) -> None:
        planted(definition, plant)

    refused = pytest.raises(AssertionError, match=expected)
    with edited(small, change), edited(small, change, "DeployMachine"), refused:
        explore(small, 100)
    small.inject()
    small.settled()
    small.add("data.json", json.dumps(GOOD).encode())
    assert small.ended(small.by_hand()).outcome == "accepted"
