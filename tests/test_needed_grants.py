"""Each grant that the pipeline uses is needed: without one action, or under another condition, it visibly fails.

Each mutant is a role's policy less one action, or with one condition that never holds. A fault must show in what the
role is for, and once the policy is restored after the last mutant of a role, none.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from local_aws.cloud import running

from ops import retrain, runs
from ops.account import OpsError
from tests import iam_report
from tests.conftest import ROOT, SHIPPED, UNMEASURED, WDBC, Deployed, deploy, wait_for
from tests.deployments.world import World
from tests.lambdas.predict.signed import Consumer

Statement = dict[str, Any]
STACK, ASKED, CHECK = "breast-cancer", "smoke-test", "FinishCheck"
"""The deployed stack, the tag of a config whose model lambdas/finish/live.py has asked, and a part of the name of its
function."""
PATIENCE = 600
"""Seconds for what takes some: others may use the machine."""
NOBODY = {"Bool": "false"}
"""By its operator, a value of a condition that never holds."""


@dataclass(frozen=True)
class Mutant:
    """A policy of a role with one statement changed; `statement` has the single action that is mutated."""

    role: str
    policy: str
    what: str
    statement: Statement
    document: dict[str, Any]


def mutants(role: str, policy: str, document: dict[str, Any]) -> Iterator[Mutant]:
    """The policy without each single action of each statement, and with each condition changed to one never met."""
    for at, statement in enumerate(document["Statement"]):

        def changed(new: Statement | None, at: int = at) -> dict[str, Any]:
            others = document["Statement"]
            return {**document, "Statement": [*others[:at], *([new] if new else []), *others[at + 1 :]]}

        actions = _list(statement["Action"])
        for action in actions:
            left = [each for each in actions if each != action]
            rest = {**statement, "Action": left} if left else None
            yield Mutant(role, policy, action, {**statement, "Action": action}, changed(rest))
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                never = {operator: {**keys, key: NOBODY.get(operator, "nobody")}}
                document_ = changed({**statement, "Condition": {**statement["Condition"], **never}})
                yield Mutant(role, policy, f"{actions[0]} where {key}", statement, document_)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass
class Pipeline:
    """The deployed pipeline after its first run, and what each role's grants are seen by."""

    live: Deployed
    decisions: Path
    package: str = ""
    restarts: int = 0
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.live, queue="")
        first = self.live.run("wdbc.csv", WDBC.read_bytes())
        assert (first.status, first.outcome) == ("SUCCEEDED", "accepted"), first
        self.package = first.package

    # --- scenarios: each returns its visible faults

    def run(self) -> list[str]:
        """A run from the listing to the deployment."""
        return self._ended(self.world.by_hand(force=True))

    def prepared(self) -> list[str]:
        """A run until its data is checked; then it is stopped."""
        arn = self.world.by_hand(force=True)
        wait_for(
            lambda: "Train" in self.world.entered(arn) or not runs.describe(self.live.account, arn).running, PATIENCE
        )
        if not (run := runs.describe(self.live.account, arn)).running:
            return [str(run.outcome)]
        self.world.stop(arn)
        wait_for(lambda: "owner" not in self.world.lease(), PATIENCE)
        return []

    def triggered(self) -> list[str]:
        """A request on known data starts nothing, and a forced one a run, which is stopped."""
        try:
            known = retrain.start(self.live.account, force=False)["result"]
            arn = retrain.start(self.live.account, force=True)["execution"]
        except OpsError as error:
            return [str(error)]
        wait_for(lambda: "owner" in self.world.lease(), PATIENCE)
        self.world.stop(arn)
        wait_for(lambda: "owner" not in self.world.lease(), PATIENCE)
        return [] if known == "nothing new" else [known]

    def deployment(self) -> list[str]:
        """The deployment of a registered package, while a run that has ended owns the lease."""
        ended = sorted(self.live.executions())[0]
        self.world.give_lease(ended)
        return self._ended(self._deploy())

    def created(self) -> list[str]:
        """The deployment of a registered package where nothing is live."""
        sagemaker, name = self.live.account.sagemaker, self.world.endpoint
        if self.world.live():
            sagemaker.delete_endpoint(EndpointName=name)
            sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        return self._ended(self._deploy())

    def rolled_back(self) -> list[str]:
        """The deployment of a model that answers 500 once it is live: it names the alarm that took it back."""
        self.world.inject({"on": "Endpoint", "fault": "Answers500"})
        arn, consumer = self._deploy(), Consumer(self.live)
        while (run := runs.describe(self.live.account, arn)).running:
            consumer.post("/predictions", self._row)
        self.world.inject()
        return [] if 'alarms in ALARM: ["' in str(run.outcome) else [f"no alarm is named: {run.outcome}"]

    def drift(self) -> list[str]:
        """A drift check of traffic with ground truth."""
        machine = self.live.account.outputs["DriftMachine"]
        arn = self.live.account.states.start_execution(stateMachineArn=machine)["executionArn"]
        run = self.live.ended(arn, seconds=PATIENCE)
        return [*([] if run.status == "SUCCEEDED" else [str(run.outcome)]), *run.warnings]

    def scored(self) -> list[str]:
        """The scoring of an upload, and one of all files that are new."""
        machine, states = self.live.account.outputs["ScoreMachine"], self.live.account.states

        def listed() -> set[str]:
            return {each["executionArn"] for each in states.list_executions(stateMachineArn=machine)["executions"]}

        before, bucket = listed(), self.live.account.outputs["DataBucket"]
        body = "\n".join(WDBC.read_text().splitlines()[:9]).encode()
        self.live.account.s3.put_object(Bucket=bucket, Key="score/some.csv", Body=body)
        upload = wait_for(lambda: next(iter(listed() - before), None), PATIENCE)
        found = [self.live.ended(upload, PATIENCE)]
        by_hand = states.start_execution(stateMachineArn=machine)["executionArn"]
        found.append(self.live.ended(by_hand, PATIENCE))
        failed = [str(run.outcome) for run in found if run.status != "SUCCEEDED"]
        return failed + [warning for run in found for warning in run.warnings]

    def checked(self) -> list[str]:
        """What is live by a deployment that was stopped is asked, and the result is notified."""
        sagemaker, config = self.live.account.sagemaker, self._unasked()
        client = self.live.client("lambda")
        (name,) = (
            each["FunctionName"] for each in client.list_functions()["Functions"] if CHECK in each["FunctionName"]
        )
        for _ in range(5):  # an event of the deployment's end may have asked in between
            sagemaker.delete_tags(ResourceArn=config, TagKeys=[ASKED])
            answer = client.invoke(FunctionName=name, Payload=b"{}")
            if document := json.load(answer["Payload"]):
                break
        told = "FunctionError" not in answer and document.get("outcome") == "accepted"
        return document["warnings"] if told else [str(document)]

    def _unasked(self) -> str:
        """The ARN of the live config, which a deployment that was stopped has made; stops one if there is none."""
        states, sagemaker = self.live.account.states, self.live.account.sagemaker
        while True:
            arn = sagemaker.describe_endpoint_config(EndpointConfigName=self.world.live())["EndpointConfigArn"]
            tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
            if states.describe_execution(executionArn=tags["execution"])["status"] == "ABORTED":
                return str(arn)
            deployment = self._deploy()
            self.world.in_state(deployment, "WaitForEndpoint")
            self.world.stop(deployment)
            self.world.settled()

    def prediction(self) -> list[str]:
        """A row that is posted to a new process, which remembers nothing."""
        self.restarts += 1
        for each in self.live.client("lambda").list_functions()["Functions"]:
            if "Predict" in each["FunctionName"]:
                size = {"FunctionName": each["FunctionName"], "MemorySize": 600 + self.restarts}
                self.live.client("lambda").update_function_configuration(**size)
        answer = Consumer(self.live).post("/predictions", self._row).json()
        return [] if answer.get("model", {}).get("trained_at") else [f"no prediction of a named model: {answer}"]

    @property
    def _row(self) -> str:
        return json.dumps({"instances": [list(self.live.account.settings.endpoint.golden[0].row)]})

    def _deploy(self) -> str:
        machine, given = self.live.account.outputs["DeployMachine"], {"package": self.package, "reason": "rollback"}
        started = self.live.account.states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        return str(started["executionArn"])

    def _ended(self, arn: str) -> list[str]:
        run = self.live.ended(arn, seconds=PATIENCE)
        return run.warnings if (run.status, run.outcome) == ("SUCCEEDED", "accepted") else [str(run.outcome)]

    # --- mutants

    def used_mutants(self, role: str) -> Iterator[tuple[Mutant, dict[str, Any]]]:
        """Each mutant of a role that changes what was used, and the policy's own document."""
        iam = self.live.client("iam")
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            own = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            for mutant in mutants(role, policy, own):
                if self.used(role, mutant.statement):  # `make iam` has the others reviewed
                    yield mutant, own

    def used(self, role: str, statement: Statement) -> bool:
        """Whether IAM has allowed a call by the statement."""
        lines = self.decisions.read_text().splitlines()
        grants = list(iam_report.grants({role: [statement]}))
        return any(iam_report.allows(grant, json.loads(line)) for line in lines for grant in grants)

    @contextmanager
    def having(self, mutant: Mutant, document: dict[str, Any]) -> Iterator[None]:
        """The mutant's policy in place of the role's own one."""
        iam, name = self.live.client("iam"), {"RoleName": mutant.role, "PolicyName": mutant.policy}
        iam.put_role_policy(**name, PolicyDocument=json.dumps(mutant.document))
        try:
            yield
        finally:
            iam.put_role_policy(**name, PolicyDocument=json.dumps(document))


Scenario = Callable[[Pipeline], list[str]]
GROUPS: dict[str, dict[str, tuple[Scenario, ...]]] = {
    "retrain": {"RetrainMachineRole": (Pipeline.run,)},
    "jobs": {
        "TriggersFunctionRole": (Pipeline.triggered,),
        "RetrainListDataRole": (Pipeline.prepared,),
        "JobsRole": (Pipeline.run, Pipeline.rolled_back, Pipeline.scored),
    },
    "deploy": {
        "DriftMachineRole": (Pipeline.drift,),
        "DriftWindowRole": (Pipeline.drift,),
        "ServingPredictRole": (Pipeline.prediction,),
        "DeployMachineRole": (Pipeline.deployment, Pipeline.created),
        "ExecutionLeaseAcquireRole": (Pipeline.deployment,),
        "FinishCheckRole": (Pipeline.checked,),
        "FinishFinishRole": (Pipeline.deployment,),
        "LiveEndpointCleanupRole": (Pipeline.deployment,),
        "LiveEndpointEndpointRole": (Pipeline.deployment, Pipeline.rolled_back, Pipeline.scored),
        "ScoreListFilesRole": (Pipeline.scored,),
        "ScoreMachineRole": (Pipeline.scored,),
    },
}
"""By a test of its own cloud: the scenarios that show what each role may do; the second only if the first shows none."""


def test_every_role_has_a_scenario() -> None:
    """But that of EventBridge, which starts its targets itself here."""
    made = json.loads((ROOT / "tests/cdk/snapshots/dev.json").read_text())["Resources"]
    roles = {name[:-8] for name, resource in made.items() if resource["Type"] == "AWS::IAM::Role"}
    assert {role for group in GROUPS.values() for role in group} == roles - {
        "DriftMachineEventsRole",
        "ScoreMachineEventsRole",
    }


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(f"grants-{name}")) for name in GROUPS])
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    decisions = tmp_path / "decisions.jsonl"
    settings = {"SFN_WAIT_SCALE": "0.01", "IAM_DECISIONS": str(decisions), **UNMEASURED}
    with pytest.MonkeyPatch.context() as patched, running(environment=settings) as cloud:
        live = deploy(cloud, SHIPPED, patched)
        made = Pipeline(live, decisions)
        with_traffic(made)
        yield made


def with_traffic(pipeline: Pipeline) -> None:
    """Captured rows with ground truth, and so many models that a deployment deletes some."""
    answers = [Consumer(pipeline.live).post("/predictions", pipeline._row) for _ in range(3)]
    truth = "\n".join(["inference_id,row,label", *(f"{each.headers['X-Inference-Id']},1,B" for each in answers)])
    key, bucket = "ground-truth/2999-01-01/truth.csv", pipeline.live.account.outputs["DataBucket"]
    pipeline.live.account.s3.put_object(Bucket=bucket, Key=key, Body=truth.encode())


@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(2400)
def test_every_used_action_and_condition_is_needed(pipeline: Pipeline, group: str) -> None:
    every = dict.fromkeys(each for of_role in GROUPS[group].values() for each in of_role)
    if Pipeline.deployment in every or Pipeline.run in every:
        kept = pipeline.live.account.settings.release.keep
        assert [pipeline.deployment() for _ in range(kept)] == [[]] * kept
    assert {each.__name__: each(pipeline) for each in every} == {each.__name__: [] for each in every}
    say(group, f"{group}: each action and condition that was used, with the scenario and the fault that it shows")
    roles = {iam_report.logical(role): role for role in iam_report.policies(pipeline.live.client("iam"), STACK)}
    survivors, unclean, count = [], [], 0
    for role, scenarios in GROUPS[group].items():
        for mutant, own in pipeline.used_mutants(roles[role]):
            count += 1
            with pipeline.having(mutant, own):
                scenario, faults = first_faults(pipeline, scenarios)
            say(group, f"{count} {role} {mutant.what}: {scenario.__name__}: {str(faults[:1])[:200]}")
            survivors += [] if faults else [f"{role} {mutant.what}"]
            if scenario is not scenarios[0]:  # it may leave no endpoint, and the others need one
                unclean += scenario(pipeline)
        unclean += first_faults(pipeline, scenarios)[1]
    say(group, f"{count} mutated, {count - len(survivors)} caught; survivors: {survivors}; unclean after: {unclean}")
    assert (survivors, unclean) == ([], [])
    assert count >= LEAST[group]


LEAST = {"retrain": 29, "jobs": 25, "deploy": 75}
"""Mutants of each group; fewer mean that a scenario uses less than it did."""


def say(group: str, line: str) -> None:
    """Print a line, and keep it in build/, as xdist shows nothing of a test that passes."""
    print(line, flush=True)
    with (ROOT / "build" / f"grants-{group}.txt").open("a" if line[0].isdigit() else "w") as file:
        print(line, file=file)


def first_faults(pipeline: Pipeline, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, list[str]]:
    """The scenario that shows a fault, and its faults; the last one if none does."""
    for scenario in scenarios:
        if faults := scenario(pipeline):
            return scenario, faults
    return scenarios[-1], []
