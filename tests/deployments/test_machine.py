"""Many orders of uploads, finishes, failures, kills, rollbacks and racing runs, on the deployed state machine.

Real are the uploads and their events, the state machine, its Lambdas, the lease, the registry and the endpoint's
processes; only the jobs' own programs are small ones (small_jobs.py), so that a run takes a second. What a run's model
is worth is in its data, so what goes live is compared with what could. MACHINE_SEED draws other examples.
"""

import io
import json
import os
import random
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from local_aws.cloud import running

from ops import retrain, runs
from ops.account import NothingToDo
from tests.conftest import UNMEASURED, deploy, wait_for
from tests.deployments import small_jobs
from tests.deployments.world import World, edited, entries, settings_file, subscribed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600), pytest.mark.xdist_group("machine")]

CHOICES = tomllib.loads(Path(__file__).with_name("choices.toml").read_text("utf-8"))
DATA, FAULTS, MOMENTS, WEIGHTS, FLOORS = (CHOICES[name] for name in ("data", "faults", "moments", "weights", "floors"))
GOOD = DATA[0]
LAST = ["upload", "upload", "start_by_hand", "kill"]
SEED = 267
LONG = [pytest.mark.full, pytest.mark.timeout(7200)]
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
        **UNMEASURED,
    }
    with pytest.MonkeyPatch.context() as patched, running(environment=environment) as cloud:
        config = settings_file(folder, "small", "keep = 3", bake=10, delay_seconds="delay_seconds = 0")
        made = subscribed(deploy(cloud, config, patched))
        put_small_jobs(made, program)
        assert made.ended(uploaded(made, GOOD)).outcome == "accepted"
        yield made


def uploaded(world: World, data: dict[str, Any]) -> str:
    """The execution that an upload starts."""
    before = world.deployed.executions()
    world.add("data.json", json.dumps(data).encode())
    return world.deployed.started(before)


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


Step = tuple[str, Any]


def drawn(chance: random.Random, steps: int) -> list[Step]:
    """An example's steps, the last of which starts a run, so that faults have something to strike."""
    kinds = [*chance.choices(list(WEIGHTS), WEIGHTS.values(), k=steps - 1), chance.choice(LAST)]
    return [(kind, argument(chance, kind)) for kind in kinds]


def argument(chance: random.Random, kind: str) -> Any:
    if kind == "upload":
        return chance.choice(DATA)
    if kind == "go_wrong":
        return chance.sample(FAULTS, chance.randint(1, 3))
    return (chance.choice(MOMENTS), chance.choice([True, False])) if kind == "kill" else None


class Example:
    """What is done, one step after another, while runs go on by themselves; `counts` has what happened."""

    def __init__(self, small: World, counts: Counter[str], steps: list[Step]) -> None:
        self.world, self.account, self.counts, self.steps = small, small.account, counts, steps
        self.started: list[str] = []
        self.killed: set[str] = set()
        self.struck: list[dict[str, Any]] = []
        self.before = {small.live(): self.trained(runs.describe(self.account, small.live_run()))}
        # A broken server of an earlier example, if a killed deployment left one.
        self.broken = set() if self.answer() else set(self.before)

    def expect(self, holds: bool, what: str) -> None:
        assert holds, f"not so: {what}, after {self.steps}; runs {self.started}"

    def run(self) -> None:
        try:
            for what, argument in self.steps:
                getattr(self, what)(argument)
                self.what_is_live_was_accepted()
        finally:
            self.finish(None)
        self.check()

    # --- what is done

    def ask(self) -> dict[str, str]:
        functions = self.world.deployed.client("lambda")
        answer = functions.invoke(FunctionName=self.account.outputs["TriggerFunction"], Payload=b'{"reason": "manual"}')
        assert "FunctionError" not in answer
        return dict(json.load(answer["Payload"]))

    def upload(self, data: dict[str, Any]) -> None:
        self.started.append(uploaded(self.world, data))
        self.counts["an upload started a run"] += 1

    def event_again(self, _: None) -> None:
        """The same event once more starts nothing."""
        answer = self.ask()
        self.expect(answer["result"] != "started", f"known data starts nothing, but {answer}")
        self.counts["an event came again"] += 1

    def go_wrong(self, faults: list[tuple[str, str, int]]) -> None:
        """Beside those that are still to strike."""
        more = [{"on": on, "fault": kind, "times": times} for on, kind, times in faults]
        self.struck += self.world.inject(*self.world.faults()["faults"], *more)["struck"]

    def start_by_hand(self, _: None) -> None:
        self.started.append(self.world.by_hand())

    def roll_back(self, _: None) -> None:
        try:
            self.started.append(retrain.start_rollback(self.account))
            self.counts["a rollback started"] += 1
        except NothingToDo:
            self.counts["there was nothing to roll back to"] += 1

    def kill(self, target: tuple[str, bool]) -> None:
        """Abort a run, of none a new one, as soon as it has come to this state; one that ends before is spared."""
        moment, newest = target
        if not self.running():
            self.start_by_hand(None)
        going = self.running()
        execution = going[-1 if newest else 0] if going else self.started[-1]
        wait_for(lambda: moment in self.world.entered(execution) or execution not in self.running(), seconds=300)
        with suppress(self.account.states.exceptions.ValidationException):  # it is not running
            self.account.states.stop_execution(executionArn=execution)
            self.killed.add(execution)
            self.counts["a run was killed"] += 1

    def finish(self, _: None) -> None:
        for execution in self.started:
            self.world.ended(execution)

    def running(self) -> list[str]:
        return [arn for arn in self.started if runs.describe(self.account, arn).running]

    # --- what holds at every moment

    def what_is_live_was_accepted(self) -> None:
        """The live config's model is an Approved package, if the same config is live after the look."""

        live = self.world.live()
        # A run that takes its model back puts the old one live first and then disowns the package.
        approved = self.world.package(self.world.model(live)) == "Approved"
        self.expect(approved or self.world.live() != live, f"{live} is of an approved package")

    # --- what holds in the end

    def check(self) -> None:
        self.struck += self.world.inject()["struck"]
        self.world.settled()
        self.no_two_at_once()
        self.what_is_live_was_asked()
        self.what_is_live_was_accepted()
        self.nothing_worse_or_older_is_live()
        wait_for(self.world.lease_is_free)
        wait_for(lambda: self.world.processes() == {"jobs": 0, "servers": 1})
        self.counts.update(self.world.notification(execution)["outcome"] for execution in set(self.started))
        self.counts["a fault struck"] += len(self.struck)
        kinds = {(fault["on"], fault["fault"]) for fault in self.struck}
        self.counts["different faults struck in one example"] += len(kinds) > 1

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

    def nothing_worse_or_older_is_live(self) -> None:
        """The newest accepted run's config serves, or that of a later run that was killed as it released.

        Each model that passed the gate is as good as the champion of its turn, less the margin; each accepted one
        answers the golden rows right. A rollback may put a worse one live, as a person asks for it.
        """
        may, margin = dict(self.before), self.account.settings.gate.margin
        ended = [run for _, _, run in self.turns()]
        for run in ended:
            if "The restore failed" in f"{run.outcome} {run.why}":
                # The champion found no instances: the model that failed its smoke test serves. The notification says so.
                self.broken.add(config(run))
                may = {config(run): self.trained(run)}
            released = self.world.package(run.arn) == "Approved" if is_retrain(run) else run.arn in self.killed
            if not (run.outcome == "accepted" or released):
                continue
            model, worst = self.trained(run), min(model["quality"] for model in may.values())
            self.expect(
                not is_retrain(run) or model["quality"] >= worst - margin,
                f"{model} of {run.name} is not worse than the champion of {may}",
            )
            if run.outcome == "accepted":
                right = model["golden"] and not model["wrong"]
                self.expect(right, f"{model} of {run.name} answers the golden rows right")
                may = {}
            if run.outcome == "accepted" or run.arn in self.killed:
                may[config(run)] = model
        live = self.world.live()
        told = [(run.outcome, run.why) for run in ended]
        self.expect(live in may, f"{live} is one of {may}: {told}")
        answer = self.answer()
        broken = self.broken | {config(run) for run in ended if run.arn in self.killed}
        if [each["fault"] for each in self.struck].count("Answers500") > 1:
            broken.add(live)  # the second server to break may be the restored champion's: an alarm tells of its errors
        # Nobody takes a broken server back whose deployment was killed. The check of what is live notifies of it.
        self.counts["a killed deployment left a broken server"] += answer == {}
        self.expect(
            answer == may[live] or (live in broken and not answer), f"{answer} is the answer of {live} of {may}"
        )

    def what_is_live_was_asked(self) -> None:
        """Its deployment succeeded, or what came live without it was asked afterwards."""
        wait_for(self.world.live_was_asked)

    def answer(self) -> dict[str, Any]:
        """The live model, by its own answer; empty if it gives none."""
        runtime = self.world.deployed.client("sagemaker-runtime")
        kind = {"ContentType": "application/jsonlines", "Body": b"{}"}
        try:
            return dict(json.load(runtime.invoke_endpoint(EndpointName=self.world.endpoint, **kind)["Body"]))
        except (runtime.exceptions.ModelError, runtime.exceptions.ServiceUnavailable):
            return {}

    def trained(self, run: runs.Run) -> dict[str, Any]:
        """What a run's model learnt from, which says what it is worth; of a rollback, its package's run."""
        if not is_retrain(run):
            package = self.account.sagemaker.describe_model_package(ModelPackageName=run.request["package"])
            run = runs.describe(self.account, package["CustomerMetadataProperties"]["execution"])
        return dict(json.loads(self.world.lines(run, "train")[0]))


def is_retrain(run: runs.Run) -> bool:
    return run.arn.split(":")[6] == "small-retrain"


def config(run: runs.Run) -> str:
    """The name of the endpoint config that a run's deployment, or a deployment itself, makes."""
    return f"small-{runs.md5(f'{run.id}-0' if is_retrain(run) else run.name)}"


def explore(small: World, examples: int, steps: int, seed: int = SEED) -> Counter[str]:
    """Try so many examples of so many steps, always the same for a seed; what happened in them."""
    seed = int(os.environ.get("MACHINE_SEED", seed))
    chance, counts = random.Random(seed), Counter[str]()
    print(f"MACHINE_SEED={seed}")
    for number in range(examples):
        example = Example(small, counts, drawn(chance, steps))
        print(number, *example.steps)
        example.run()
    print(*sorted(counts.items()), sep="\n")
    return counts


@pytest.mark.parametrize(
    ("examples", "steps", "seed"),  # the few are of a seed that draws some of everything
    [
        pytest.param(20, 2, 16100, marks=pytest.mark.rotated),
        pytest.param(250, 5, SEED, marks=LONG),
        pytest.param(250, 5, SEED + 1, marks=[*LONG, pytest.mark.xdist_group("machine-2")]),
    ],
)
def test_nothing_worse_goes_live_in_any_order_of_what_can_happen(
    small: World, examples: int, steps: int, seed: int
) -> None:
    counts = explore(small, examples, steps, seed)
    few = {what: counts[what] for what, least in FLOORS.items() if counts[what] < least * examples / 30}
    assert few == {}


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


def champion_ignored(states: Any) -> None:
    """The gate keeps its thresholds, and does not compare."""
    if "QualityGate" in states:
        kept = states["QualityGate"]["Choices"][0]["Not"]
        kept["And"] = [rule for rule in kept["And"] if "interval" not in json.dumps(rule)]


def nothing_asked(states: Any) -> None:
    """The deployment makes no smoke test."""
    if "SmokeTest" in states:
        states["SmokeTest"] = {"Type": "Pass", "Next": states["SmokeTest"]["Next"]}


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
    [
        (lease_for_all, "one after the other"),
        (status_believed, "is one of"),
        (gate_open, "is of an approved package"),
        (champion_ignored, "is not worse than the champion"),
        (nothing_asked, "answers the golden rows right"),
    ],
)
def test_it_finds_a_fault_that_is_planted_in_the_state_machine(
    small: World, plant: Callable[[Any], None], expected: str
) -> None:
    def change(definition: Any) -> None:
        planted(definition, plant)

    refused = pytest.raises(AssertionError, match=expected)
    with edited(small, change), edited(small, change, "DeployMachine"), refused:
        explore(small, 100, 5)
    small.inject()
    small.settled()
    best = {"quality": 0.999, "golden": True, "wrong": False}  # whatever is live now
    assert small.ended(uploaded(small, best)).outcome == "accepted"
