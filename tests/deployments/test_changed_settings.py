"""Settings that change what the model reads or answers: the next run compares with the live model all the same."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from local_aws.cloud import Cloud

from ops import runs
from tests.conftest import deploy, wait_for
from tests.deployments.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

SETTINGS = """\
project.name = "visitors"
processing.instance_type = "ml.m5.large"
training = { instance_type = "ml.m5.large", hyperparameters = { mini_batch_size = 100, epochs = 15 } }
transform.instance_type = "ml.m5.large"
endpoint.instance_type = "ml.t2.medium"
api.path = "/buys"

[gate]
minimum = { accuracy = 0.6 }
margin = 0.3

[data]
target = "bought"
id_columns = ["visitor"]
minimum_rows_per_class = 10
split = { train = 0.6, validation = 0.2, holdout = 0.2, salt = "1" }
"""
BINARY = """\
predictor_type = "binary_classifier"
positive_label = "{}"
negative_label = "{}"
"""
YES, NO = BINARY.format("yes", "no"), BINARY.format("no", "yes")
THREE = """\
predictor_type = "multiclass_classifier"
labels = [{}]
"""
NUMBERS = 'features = ["age", "visits"]\nignored_columns = ["colour"]\n'
MIXED = 'features = ["colour", "visits", "age"]\n[data.kinds]\ncolour = "categorical"\n'


@dataclass(frozen=True)
class Change:
    """Other lines of [data], the columns and labels of the file, and why the live model is then not comparable."""

    data: str
    reason: str = ""
    without: str = ""
    labels: tuple[str, ...] = ("yes", "no")


REORDERED = 'features = ["visits", "age"]\nignored_columns = ["colour"]\n'
SMALL = [Change(YES + NUMBERS), Change(NO + MIXED)]
ALL = {
    "start": Change(YES + NUMBERS),
    "features reordered": Change(YES + REORDERED),
    "positive class swapped": Change(NO + REORDERED),
    "categorical feature added": Change(NO + MIXED),
    "feature removed": Change(NO + REORDERED),
    "feature removed, its column too": Change(
        NO + 'features = ["age"]\nignored_columns = ["colour"]\n',
        reason='its columns cannot be read: visitors0.csv, row 1: missing column "visits"',
        without="visits",
    ),
    "class set changed": Change(
        THREE.format('"no", "yes", "later"') + NUMBERS, "it is a binary_classifier", labels=("yes", "later", "no")
    ),
    "classes reordered": Change(THREE.format('"yes", "later", "no"') + MIXED, labels=("yes", "later", "no")),
    "class removed": Change(
        THREE.format('"yes", "later", "never"') + MIXED,
        "its classes are yes, later, no",
        labels=("yes", "later", "never"),
    ),
    "two classes again": Change(YES + NUMBERS, "it is a multiclass_classifier"),
}


def table(labels: tuple[str, ...], without: str) -> bytes:
    """Visitors: those who like red, come often or are old get the first labels."""
    generator = random.Random(1)
    lines = []
    for number in range(600):
        age, visits, colour = generator.randint(18, 80), generator.randint(0, 9), generator.choice(["red", "dark blue"])
        score = (age - 50) / 15 + (visits - 5) / 2 + 2 * (colour == "red") - 1 + generator.gauss(0, 0.8)
        place = sum(score < edge for edge in ((0,) if len(labels) == 2 else (1, -1)))
        cells = {"visitor": f"v{number}", "bought": labels[place], "age": age, "visits": visits, "colour": colour}
        cells.pop(without, None)
        lines += [] if lines else [",".join(cells)]
        lines.append(",".join(map(str, cells.values())))
    return "\n".join(lines).encode()


@contextmanager
def changed(bootstrapped: Cloud, settings: str, folder: Path) -> Iterator[World]:
    """The pipeline with these settings, deployed again."""
    config = folder / f"{len(list(folder.iterdir()))}.toml"
    config.write_text(settings)
    with pytest.MonkeyPatch.context() as patched:
        yield World(deploy(bootstrapped, config, patched, bootstrapped=True), "")


def retrained(
    bootstrapped: Cloud, project: str, change: Change, folder: Path, instances: int
) -> tuple[World, runs.Run, Any]:
    """The run on the data, a file per instance, after a change of the settings, with its evaluation."""
    counts = "".join(f"{kind}.instance_count = {instances}\n" for kind in ("processing", "transform"))
    with changed(bootstrapped, counts + SETTINGS.replace("visitors", project) + change.data, folder) as world:
        header, *lines = table(change.labels, change.without).splitlines()
        world.deployed.clear()
        before = world.deployed.executions()
        for number in range(instances):
            world.add(f"visitors{number}.csv", b"\n".join([header, *lines[number::instances]]))
        run = world.ended(world.deployed.started(before))
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), (run.why, run.outcome, change)
        return world, run, world.deployed.evaluation(run)


def follow(bootstrapped: Cloud, project: str, changes: list[Change], folder: Path, instances: int = 1) -> None:
    """Each run is accepted, and has for the live model the figure that this model had on the same rows before."""
    before: Any = None
    for change in changes:
        world, run, evaluation = retrained(bootstrapped, project, change, folder, instances)
        decision = evaluation["decision"]
        if before is None:
            assert run.why == "passes every threshold of the quality gate; there is no champion"
            assert "comparable" not in decision
        elif change.reason:
            apart = f"; the champion is not comparable: {change.reason}"
            assert (run.why, decision["comparable"]) == (f"passes every threshold of the quality gate{apart}", False)
            assert evaluation["champion"]["reason"] == change.reason
            assert "ScoreChampion" not in world.entered(run.arn)
        else:
            metric, known = evaluation["comparison"]["metric"], figures(before)
            assert decision["comparable"] is True
            assert evaluation["comparison"]["champion"] == pytest.approx(known[metric]["value"], abs=1e-9)
            assert len(world.files(run, "predictions/champion")) == instances
        before = evaluation


def figures(evaluation: Any) -> Any:
    """The metrics, whatever the model's type."""
    (section,) = (value for key, value in evaluation.items() if key.endswith("_metrics"))
    return section


@pytest.mark.full
def test_a_run_after_changed_settings_is_compared_with_the_model_of_before(bootstrapped: Cloud, tmp_path: Path) -> None:
    follow(bootstrapped, "visitors", SMALL, tmp_path)


@pytest.mark.full
def test_every_change_of_features_and_classes_is_followed_by_an_accepted_run(
    bootstrapped: Cloud, tmp_path: Path
) -> None:
    follow(bootstrapped, "all-visitors", list(ALL.values()), tmp_path)


@pytest.mark.full
def test_several_instances_compare_with_a_live_model_of_another_signature(bootstrapped: Cloud, tmp_path: Path) -> None:
    changes = [ALL["start"], ALL["features reordered"], ALL["positive class swapped"]]
    follow(bootstrapped, "many-visitors", changes, tmp_path, instances=2)


@pytest.mark.full
@pytest.mark.parametrize(("answer", "outcome"), [("reject", "rejected"), ("approve", "accepted")])
def test_a_person_may_be_asked_about_a_model_that_cannot_be_compared(
    bootstrapped: Cloud, tmp_path: Path, answer: str, outcome: str
) -> None:
    settings = SETTINGS.replace("margin", "approve_incomparable = true\nmargin").replace("visitors", f"asks-{answer}")
    start, other = ALL["start"], ALL["class set changed"]
    with changed(bootstrapped, settings + start.data, tmp_path) as world:
        for _ in range(2):  # without a champion, and with one that is comparable
            run = world.run(table(start.labels, ""))
            assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
            assert "WaitForApproval" not in world.entered(run.arn)
        live = world.live()
    with changed(bootstrapped, settings + other.data, tmp_path) as world:
        execution = world.start(table(other.labels, ""))
        wait_for(lambda: world.lease().get("approval"))
        assert world.package(execution) == "PendingManualApproval"
        world.deployed.command(".venv/bin/python", "-m", "ops", answer)
        run = world.ended(execution)
        assert (run.status, run.outcome) == ("SUCCEEDED", outcome), run
        assert world.package(execution) == {"reject": "Rejected", "approve": "Approved"}[answer]
        assert (world.live() == live) == (answer == "reject")
