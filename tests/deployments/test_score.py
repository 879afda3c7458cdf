"""Files under score/, from the upload to the scored rows, and what goes wrong on the way."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import pytest

from ops import retrain
from ops.runs import Run
from tests.conftest import wait_for
from tests.deployments.cases import OLD
from tests.deployments.table import Row, check
from tests.deployments.world import HEADER, ROWS, World, data, edited
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]
ON_JOB = {"name": "*-prepare-*", "on": "ProcessingJob"}
ON_MODEL = {"name": "*-batch-*", "on": "TransformJob"}
HELD_SECONDS = 3_000
"""For which a scoring waits for a rollback, times SFN_WAIT_SCALE."""


def started(world: World, key: str, body: bytes) -> str:
    """The execution that an upload starts."""
    machine, states = world.account.outputs["ScoreMachine"], world.account.states

    def listed() -> set[str]:
        return {each["executionArn"] for each in states.list_executions(stateMachineArn=machine)["executions"]}

    before = listed()
    world.account.s3.put_object(Bucket=world.account.outputs["DataBucket"], Key=key, Body=body)
    return wait_for(lambda: next(iter(listed() - before), None))


def scored(world: World, key: str) -> list[dict[str, str]]:
    found = world.account.s3.get_object(Bucket=world.account.outputs["DataBucket"], Key=key)["Body"].read()
    return list(csv.DictReader(io.StringIO(found.decode())))


def places(world: World) -> list[str]:
    """The keys under scored/."""
    found = world.account.s3.list_objects_v2(Bucket=world.account.outputs["DataBucket"], Prefix="scored/")
    return [item["Key"] for item in found.get("Contents", [])]


def version(world: World) -> str:
    """The version of the live package."""
    return world.model().rpartition("/")[2]


def batch_models(world: World) -> list[Any]:
    found: list[Any] = world.account.sagemaker.list_models(NameContains=f"{world.endpoint}-batch-")["Models"]
    return found


def without_label(line: str) -> str:
    """A line of the data without the second column, the target."""
    first, _, rest = line.split(",", 2)
    return f"{first},{rest}"


def test_a_file_is_scored_to_the_bit_as_the_api_scores_its_rows(shipped: World) -> None:
    lines = [without_label(line) for line in (HEADER, *ROWS[:40])]
    execution = started(shipped, "score/a b/some rows.csv", "\n".join(lines).encode())
    run, told = shipped.ended(execution), shipped.notification(execution, "Scoring ended")
    assert (run.status, run.outcome, run.started_by) == ("SUCCEEDED", "scored", "upload"), run
    file = {"file": "a b/some rows.csv", "rows": 40, "wrong": 0, "scored": "a b/some rows.csv"}
    assert told["score"] == {"rows": 40, "wrong": 0, "files": [file]}
    assert (told["why"], told["package"]) == ("40 rows of 1 file(s) scored, 0 wrong", shipped.model())
    rows = [list(map(float, line.split(",")[1:])) for line in lines[1:]]
    answer = Consumer(shipped.deployed).post("/predictions", json.dumps({"instances": rows})).json()
    assert [
        (int(row["row"]), row["id"], row["label"], float(row["score"]), row["model_version"])
        for row in scored(shipped, "scored/a b/some rows.csv")
    ] == [
        (place, line.split(",")[0], each["label"], each["score"], version(shipped))
        for place, (line, each) in enumerate(zip(lines[1:], answer["predictions"], strict=True), 2)
    ]
    assert batch_models(shipped) == []


@dataclass(frozen=True)
class Fault:
    """A fault of a scoring: the names of the row and of the state that fails, what is injected, and what is uploaded."""

    name: str
    state: str
    cause: str
    inject: tuple[dict[str, Any], ...] = ()
    body: bytes = data(ROWS[:20])


FAULTS = [
    Fault("score-killed", "Prepare", "SIGKILL", ({**ON_JOB, "fault": "Kill"},)),
    Fault("score-no-capacity", "Score", "CapacityError", ({**ON_MODEL, "fault": "CapacityError"},)),
    Fault("score-dies", "Score", "exited with code 137", ({**ON_MODEL, "fault": "Kill"},)),
    Fault("score-join-killed", "Join", "SIGKILL", ({**ON_JOB, "name": "*-join-*", "fault": "Kill"},)),
    Fault("score-wrong-file", "Prepare", 'row 1: missing column "', body=b"id,junk\n1,2\n"),
    Fault("score-wrong-row", "Prepare", "row 3, column", body=data([ROWS[0], ROWS[1].replace(".", "x", 1)])),
    Fault("score-empty", "Prepare", "the file is empty", body=b""),
]


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_scoring_that_fails_says_why_and_leaves_no_rows_and_no_model(shipped: World, fault: Fault) -> None:
    shipped.inject(*({"times": 1, **one} for one in fault.inject))
    key = f"{fault.name}.csv"
    try:
        execution = started(shipped, f"score/{key}", fault.body)
        run, told = shipped.ended(execution), shipped.notification(execution, "Scoring ended")
    finally:
        faults = shipped.inject()
    assert (run.status, told["outcome"], len(faults["struck"])) == ("FAILED", "failed", len(fault.inject)), run
    assert (shipped.failed_at(execution), told["next"]) == (fault.state, "ops score FILE")
    assert fault.cause in told["why"]
    assert f"scored/{key}" not in places(shipped)
    assert batch_models(shipped) == []
    check(Row(fault.name, f"failed, at {fault.state}", "not asked", OLD, f"**failed**: {told['why']}"))


@pytest.mark.full
def test_a_throttled_job_is_started_again(shipped: World) -> None:
    shipped.inject({"on": "CreateTransformJob", "fault": "ThrottlingException", "times": 2})
    execution = started(shipped, "score/throttled.csv", data(ROWS[:20]))
    run = shipped.ended(execution)
    assert (run.outcome, len(shipped.inject()["struck"])) == ("scored", 2), run
    assert shipped.retried(execution) == {"Score": 2}
    check(Row("batch-throttled", "Score was retried 2 times: scored", "not asked", OLD, f"**scored**: {run.why}"))


@pytest.mark.full
def test_a_scoring_goes_on_with_its_package_while_another_goes_live(shipped: World) -> None:
    shipped.run(data(ROWS[::2]))
    began = version(shipped)

    def hold(definition: Any) -> None:
        states = definition["States"]
        states["Hold"] = {"Type": "Wait", "Seconds": HELD_SECONDS, "Next": states["Prepare"]["Next"]}
        states["Prepare"]["Next"] = "Hold"

    with edited(shipped, hold, "ScoreMachine"):
        execution = started(shipped, "score/rolled back.csv", data(ROWS[:20]))
        shipped.in_state(execution, "Hold")
        rolled: Run = shipped.ended(retrain.start_rollback(shipped.account))
        assert (rolled.outcome, "Score" in shipped.entered(execution)) == ("accepted", False)
        run = shipped.ended(execution)
    assert (run.outcome, version(shipped) < began) == ("scored", True)
    assert {row["model_version"] for row in scored(shipped, "scored/rolled back.csv")} == {began}
    assert batch_models(shipped) == []
    told = f"**scored**: {run.why}"
    check(Row("score-rolled-back", "went on with its package: scored", "not asked", "the older model", told))


@pytest.mark.full
def test_a_folder_of_the_console_is_nothing_to_score(shipped: World) -> None:
    run = shipped.ended(started(shipped, "score/folder/", b""))
    assert (run.status, run.outcome) == ("SUCCEEDED", "nothing to score"), run
    assert "Prepare" not in shipped.entered(run.arn)
