"""A table of categories, yes and no, and gaps: an inference pipeline from the run to the API, with the encoder in it."""

import json
import math
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from local_aws.cloud import Cloud

from ops import runs
from ops.report.page import contents, page
from tests.conftest import deploy, wait_for
from tests.deployments.cases import NEW
from tests.deployments.table import Row, check
from tests.deployments.test_score import scored, started
from tests.deployments.world import World, subscribed
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

SETTINGS = """\
project.name = "customers"
processing.instance_type = "ml.m5.large"
transform.instance_type = "ml.m5.large"
gate.minimum = { auc = 0.9 }
endpoint.instance_type = "ml.t2.medium"
api.path = "/buys"
score.contributions = 2

[training]
instance_type = "ml.m5.large"
spot = true
max_runtime_minutes = 2
max_wait_minutes = 2
hyperparameters = { mini_batch_size = 100, epochs = 30 }

[data]
predictor_type = "binary_classifier"
target = "bought"
positive_label = "yes"
negative_label = "no"
id_columns = ["customer"]
features = ["age", "colour", "member"]
minimum_rows_per_class = 10
split = { train = 0.6, validation = 0.2, holdout = 0.2, salt = "1" }
on_bad_file = "quarantine"
"""
Mixed = tuple[World, runs.Run]
KINDS = """\
kinds = { colour = "categorical", member = "boolean" }
missing.impute = ["age", "colour"]
"""


def table(seed: int, rows: int = 600) -> bytes:
    """Customers: those who like red, or are members, or old, buy."""
    generator = random.Random(seed)
    lines = ["customer,bought,age,colour,member"]
    for number in range(rows):
        age = generator.choice(["", str(generator.randint(18, 80))])
        colour, member = generator.choice(["red", "blue", "dark  green", ""]), generator.choice(["Yes", "No"])
        score = (int(age or 50) - 50) / 20 + 3 * (colour == "red") + 2 * (member == "Yes") + generator.gauss(-2, 0.5)
        lines.append(f"{seed}-{number},{'yes' if score > 0 else 'no'},{age},{colour},{member}")
    return "\n".join(lines).encode()


def numbers(body: bytes) -> bytes:
    """The same customers in numbers alone."""
    codes = {"": "0", "red": "1", "blue": "0", "dark  green": "0", "Yes": "1", "No": "0"}
    header, *lines = body.decode().splitlines()
    cells = [line.split(",") for line in lines]
    rows = [[who, label, age or "50", codes[colour], codes[member]] for who, label, age, colour, member in cells]
    return "\n".join([header, *map(",".join, rows)]).encode()


def approve_a_first_model(world: World) -> None:
    """A run waits for a person, and its model goes live once the person approves it."""
    execution = world.start(numbers(table(1)))
    wait_for(lambda: world.lease().get("approval"))
    assert (world.live(), world.package(execution)) == ("", "PendingManualApproval")
    world.deployed.command("python", "-m", "ops", "approve")
    run = world.ended(execution)
    assert (run.status, run.outcome, world.package(execution)) == ("SUCCEEDED", "accepted", "Approved"), run


@pytest.fixture(scope="module")
def mixed(bootstrapped: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """The customers' pipeline, and its first run with kinds: a person approved one with numbers alone before."""
    folder = tmp_path_factory.mktemp("customers")
    numbers_alone, kinds = folder / "numbers.toml", folder / "kinds.toml"
    numbers_alone.write_text(f'{SETTINGS}[release]\napproval = "manual"\n')
    kinds.write_text(SETTINGS + KINDS)
    with pytest.MonkeyPatch.context() as patched:
        approve_a_first_model(World(deploy(bootstrapped, numbers_alone, patched, bootstrapped=True), ""))
        made = subscribed(deploy(bootstrapped, kinds, patched, bootstrapped=True))
        run = made.run(table(1))
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
        yield made, run


def test_a_raw_row_goes_through_the_encoder_and_the_learner_from_the_run_to_the_api(mixed: Mixed) -> None:
    world, first = mixed
    reason = r'its columns cannot be read: \d+\.csv: \d+ of \d+ values of "age" are missing'
    assert re.search(f"; the champion is not comparable: {reason}$", first.why), first.why
    assert "ScoreChampion" not in world.entered(first.arn)
    assert world.live_run() == first.arn
    package = world.account.sagemaker.describe_model_package(ModelPackageName=world.model())
    containers = package["InferenceSpecification"]["Containers"]
    assert [each["ContainerHostname"] for each in containers] == ["encoder", "linear-learner"]
    assert containers[0]["ModelDataUrl"].endswith(f"/runs/{first.name}/encoder/model.tar.gz")
    rows: list[Any] = [
        {"age": None, "colour": "red", "member": True},
        {"age": 30, "colour": "blue", "member": False},
        {"age": 30, "colour": "never seen", "member": False},
        {"age": 75, "colour": None, "member": True},
    ]
    answer = Consumer(world.deployed).post("/predictions", json.dumps({"instances": rows})).json()
    assert [each["label"] for each in answer["predictions"]] == ["yes", "no", "no", "yes"], answer


def test_an_explained_prediction_names_the_levels_and_adds_up_to_the_score(mixed: Mixed) -> None:
    world, _ = mixed
    body = json.dumps({"instances": [{"age": 30, "colour": "red", "member": False}]})
    answer = Consumer(world.deployed).post("/predictions?explain=true", body).json()
    (found,) = answer["predictions"]
    explanation = found["explanation"]
    largest = explanation["contributions"][0]
    assert (largest["feature"], largest["value"], largest["effect"] > 1) == ("colour", "red", True), explanation
    total = explanation["base"] + sum(each["effect"] for each in explanation["contributions"]) + explanation["rest"]
    assert found["score"] == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-6)
    assert "explanation" not in Consumer(world.deployed).post("/predictions", body).json()["predictions"][0]


@pytest.mark.full
def test_a_file_is_scored_and_explained_to_the_bit_as_the_api_does_its_rows(mixed: Mixed) -> None:
    world, _ = mixed
    body = "customer,age,colour,member\na,,red,yes\nb,30,blue,0\nc,30,never seen,No\nd,75,,Yes\n"
    rows: list[Any] = [[None, "red", True], [30, "blue", False], [30, "never seen", False], [75, None, True]]
    run = world.ended(started(world, "score/new.csv", body.encode()))
    assert (run.status, run.outcome) == ("SUCCEEDED", "scored"), run
    asked = Consumer(world.deployed).post("/predictions?explain=true", json.dumps({"instances": rows})).json()
    found = scored(world, "scored/new.csv")
    assert [(row["customer"], row["label"], float(row["score"])) for row in found] == [
        (customer, each["label"], each["score"]) for customer, each in zip("abcd", asked["predictions"], strict=True)
    ]
    assert [[(row[f"feature_{place}"], float(row[f"effect_{place}"])) for place in (1, 2)] for row in found] == [
        [(one["feature"], pytest.approx(one["effect"])) for one in each["explanation"]["contributions"][:2]]
        for each in asked["predictions"]
    ]


def test_the_smoke_test_asks_the_api_for_rows_of_the_hold_out(mixed: Mixed) -> None:
    world, run = mixed
    bucket, key = world.account.outputs["DataBucket"], f"runs/{run.name}/evaluation/smoke.json"
    kept = json.load(world.account.s3.get_object(Bucket=bucket, Key=key)["Body"])
    assert len(kept) == 8
    assert {row["label"] for row in kept} == {"yes", "no"}
    assert {row["row"] for row in kept} <= set(world.lines(run, "holdout"))
    assert checked(world, run.arn) == 8


@pytest.mark.full
def test_a_run_that_takes_preprocessed_rows_has_the_encoder_of_the_run_that_preprocessed(mixed: Mixed) -> None:
    world, _ = mixed
    runs_ = [world.ended(world.by_hand()) for _ in range(2)]
    assert [(run.status, run.outcome) for run in runs_] == [("SUCCEEDED", "accepted")] * 2, runs_
    assert ["Preprocess" in world.entered(run.arn) for run in runs_] == [True, False]
    before, after = (world.account.sagemaker.describe_model_package(ModelPackageName=run.package) for run in runs_)
    encoders = [each["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] for each in (before, after)]
    bodies = [
        world.account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for bucket, _, key in (url.removeprefix("s3://").partition("/") for url in encoders)
    ]
    assert (bodies[0] == bodies[1], encoders[1].split("/")[-3]) == (True, runs_[1].name)
    assert checked(world, runs_[1].arn) == 8


def checked(world: World, run: str) -> int:
    """The number of rows that the smoke test of a run's deployment checked."""
    exits = [event.get("stateExitedEventDetails", {}) for event in world.histories(run)]
    (output,) = (json.loads(each["output"]) for each in exits if each.get("name") == "SmokeTest")
    return int(output["smoke_test"]["checked"])


def test_a_challenger_is_scored_on_raw_rows_as_the_champion_is(mixed: Mixed) -> None:
    world, _ = mixed
    run = world.run(table(2))
    assert "ScoreChampion" in world.entered(run.arn)
    assert world.deployed.evaluation(run)["comparison"]["metric"] == "auc"


@pytest.mark.rotated
@pytest.mark.parametrize(("fault", "job"), [("Interrupted", "train"), ("CapacityError", "ondemand")])
def test_a_run_whose_spot_capacity_is_taken_back_or_missing_ends_with_a_model(
    mixed: Mixed, fault: str, job: str
) -> None:
    world, _ = mixed
    world.inject({"on": "SpotTraining", "fault": fault})
    run = world.run(table(1))  # as the champion: not worse
    assert (run.status, len(world.inject()["struck"])) == ("SUCCEEDED", 1), run
    document = contents(world.account, run)
    assert document["training"]["TrainingJobName"].split("-")[1] == job
    spot = document["training"].get("EnableManagedSpotTraining", False)
    assert spot == (job == "train")
    name, how = ("spot-interrupted", "accepted") if spot else ("spot-capacity", "trained on demand: accepted")
    sent = world.notification(run.arn)
    check(Row(name, how, "not asked", NEW, f"**{sent['outcome']}**: {sent['why']}"))


@pytest.mark.rotated
def test_a_wrong_file_is_left_out_and_the_report_names_it(mixed: Mixed) -> None:
    world, _ = mixed
    reason = "wrong.csv, row 1: missing column "
    run = world.deployed.run("wrong.csv", b"a,b\n1,2\n")
    assert run.status == "FAILED"
    assert f"no file is left: {reason}" in f"{run.outcome} {run.why}"
    before = world.deployed.executions()
    world.add("right.csv", table(1))
    run = world.ended(world.deployed.started(before))
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    document = contents(world.account, run)
    assert [found.startswith(reason) for found in document["baseline"]["left_out"]] == [True]
    assert reason in page(document)


def test_an_older_package_of_another_signature_is_deployed_again(mixed: Mixed) -> None:
    world, _ = mixed
    packages = world.account.sagemaker.list_model_packages(ModelPackageGroupName="customers")
    oldest = min(packages["ModelPackageSummaryList"], key=lambda each: each["ModelPackageVersion"])
    machine, request = world.account.outputs["DeployMachine"], {"package": oldest["ModelPackageArn"]}
    started = world.account.states.start_execution(stateMachineArn=machine, input=json.dumps(request))
    assert world.ended(started["executionArn"]).outcome == "accepted"
    rows = [{"age": 75, "colour": 1, "member": 1}, [30, 0, 0]]
    answer = Consumer(world.deployed).post("/predictions", json.dumps({"instances": rows})).json()
    assert [each["label"] for each in answer["predictions"]] == ["yes", "no"], answer


@pytest.mark.full
def test_the_smoke_test_asks_for_rows_of_one_feature_that_have_no_value(
    mixed: Mixed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world, _ = mixed
    folder = tmp_path_factory.mktemp("one")
    text = SETTINGS.replace('["age", "colour", "member"]', '["age"]').replace("auc = 0.9", "auc = 0.1")
    (folder / "one.toml").write_text(text + 'missing.impute = ["age"]\n')
    with pytest.MonkeyPatch.context() as patched:
        made = deploy(world.deployed.cloud, folder / "one.toml", patched, bootstrapped=True)
    other = World(made, world.queue, world.received)
    run = other.run(b"\n".join(line.rpartition(b",")[0].rpartition(b",")[0] for line in table(3).splitlines()))
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    assert other.lines(run, "holdout").count('""') > 20
    assert checked(other, run.arn) == 8
    answers = Consumer(made).post("/predictions", json.dumps({"instances": [{"age": None}, {"age": 20}, {}]})).json()
    first, second, third = (each["score"] for each in answers["predictions"])
    assert first == third != second
