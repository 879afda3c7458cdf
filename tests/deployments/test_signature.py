"""Settings that change what a model takes and answers, under traffic: no answer is in another model's words."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from ops import runs
from ops.status import changed_settings
from tests.conftest import Deployed, deploy, wait_for
from tests.deployments.world import World, subscribed
from tests.lambdas.predict.signed import Signed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]
SETTINGS = """\
project.name = "{name}"
processing.instance_type = "ml.m5.large"
training = {{ instance_type = "ml.m5.large", hyperparameters = {{ mini_batch_size = 20, epochs = 50 }} }}
transform.instance_type = "ml.m5.large"
gate = {{ minimum = {{ accuracy = 0.8 }}, margin = 0.3 }}
endpoint.instance_type = "ml.t2.medium"
api.path = "/predict"
release = {{ rollout = "{rollout}", bake_seconds = 60 }}

[data]
target = "y"
minimum_rows_per_class = 10
split = {{ train = 0.6, validation = 0.2, holdout = 0.2, salt = "1" }}
"""
SECONDS = 300
COLUMNS = ("a", "b", "c", "port")
MULTICLASS = {"predictor_type": "multiclass_classifier", "labels": ["high", "low", "mid"]}
BINARY = {"predictor_type": "binary_classifier", "positive_label": "high", "negative_label": "low"}
START: dict[str, Any] = {**MULTICLASS, "features": ["a", "b", "c"]}
CHANGES: dict[str, dict[str, Any]] = {
    "features reordered": {"features": ["c", "b", "a"]},
    "classes reordered": {"labels": ["low", "mid", "high"]},
    "a feature removed": {"features": ["b", "a"]},
    "a feature added": {"features": ["c", "a", "b"]},
    "a categorical added": {"features": ["c", "port", "a"], "kinds": {"port": "categorical"}},
    "the categorical removed": {"features": ["a", "b", "c"], "kinds": {}},
}
SWAP = {"positive_label": "low", "negative_label": "high"}


def label(a: float, classes: list[str]) -> str:
    """What a model must answer: `a` decides alone."""
    limit = 0.6 if "mid" in classes else 0.0
    return "high" if a > limit else "low" if a < -limit or "mid" not in classes else "mid"


def table(seed: int, classes: list[str], rows: int = 400) -> bytes:
    generator = random.Random(seed)
    lines = ["a,b,c,port,y"]
    for _ in range(rows):
        a, b, c = (round(generator.gauss(0, 1.5), 3) for _ in "abc")
        lines.append(f"{a},{b},{c},{generator.choice(['north', 'south'])},{label(a, classes)}")
    return "\n".join(lines).encode()


@dataclass
class Traffic:
    """20 calls a second, in turn by position and by name, and what is wrong with each answer.

    The consumer follows the signature of the last answer; after a refusal of its rows it reads the API's document.
    """

    deployed: Deployed
    wrong: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    _documents: dict[str, Any] = field(default_factory=dict)
    _features: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        stop = threading.Event()
        threads = [threading.Thread(target=self._run, args=(stop, named)) for named in (False, True)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _run(self, stop: threading.Event, named: bool) -> None:
        generator = random.Random(named)
        with requests.Session() as session:
            session.auth = Signed()
            while not stop.wait(0.1):
                try:
                    self._ask(session, named, generator.choice([2.5, -2.5]))
                except Exception as error:
                    self.wrong.append(f"{type(error).__name__}: {error}")

    def _ask(self, session: requests.Session, named: bool, a: float) -> None:
        address = self.deployed.account.api_url.removesuffix("/predict")
        if not self._features:
            document = session.get(f"{address}/openapi.json", timeout=30).json()
            self._features = self._document(document["info"]["x-model-signature"])["features"]
        values = {"a": a, "b": -a, "c": 0.0, "port": "north"}
        row = {name: values[name] for name in self._features}
        instance = row if named else list(row.values())
        answer = session.post(f"{address}/predictions", json={"instances": [instance]}, timeout=30)
        if answer.status_code == 400:
            self.refused += 1
            self._features = []
        elif "Worker process died" in answer.text:
            self.refused += 1  # the local Lambda ends its process when its code changes, AWS's lets it answer
        elif not answer.ok:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        else:
            self._check(instance, answer)

    def _check(self, instance: Any, answer: requests.Response) -> None:
        name = answer.headers["X-Model-Signature"]
        document = self._document(name)
        features, classes = document["features"], document["classes"]
        row = instance if isinstance(instance, dict) else dict(zip(features, instance, strict=True))
        (prediction,) = answer.json()["predictions"]
        place = prediction["predicted_label"]
        if prediction["label"] != label(row["a"], classes) or classes[place] != prediction["label"]:
            self.wrong.append(f"{instance} by {name} {features}: {prediction}")
        self.answered[name] += 1
        self._features = features

    def _document(self, name: str) -> Any:
        if name not in self._documents:
            bucket = self.deployed.account.outputs["DataBucket"]
            body = self.deployed.account.s3.get_object(Bucket=bucket, Key=f"signatures/{name}.json")["Body"]
            found = json.load(body)
            self._documents[name] = {**found, "features": [feature["name"] for feature in found["features"]]}
        return self._documents[name]


@dataclass
class Stage:
    """A stack whose settings change."""

    deployed: Deployed
    folder: Path
    patched: pytest.MonkeyPatch
    name: str
    rollout: str = "all_at_once"
    data: dict[str, Any] = field(default_factory=lambda: dict(START))
    made: int = 0

    @property
    def classes(self) -> list[str]:
        return list(self.data.get("labels") or [self.data["negative_label"], self.data["positive_label"]])

    def deploy(self, **changes: Any) -> World:
        """Deploy the settings with these changes of [data]."""
        self.data |= changes
        self.made += 1
        ignored = [name for name in COLUMNS if name not in self.data["features"]]
        lines = [f"{key} = {_toml(value)}" for key, value in (self.data | {"ignored_columns": ignored}).items()]
        config = self.folder / f"{self.made}.toml"
        config.write_text(SETTINGS.format(name=self.name, rollout=self.rollout) + "\n".join(lines) + "\n")
        made = deploy(self.deployed.cloud, config, self.patched, bootstrapped=True)
        return subscribed(made)

    def run(self, world: World) -> runs.Run:
        run = world.deployed.ended(world.start(table(self.made, self.classes)), SECONDS)
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), f"{run.outcome} {run.why}"
        return run


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


@contextmanager
def stage(deployed: Deployed, folder: Path, name: str, **fields: Any) -> Iterator[Stage]:
    (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patched:
        yield Stage(deployed, folder / name, patched, name, **fields)


def changed(world: World, made: Stage, **changes: Any) -> tuple[World, Traffic]:
    """Change the settings under traffic: deploy and retrain, with an aborted run in between."""
    traffic = Traffic(world.deployed)
    with traffic.running():
        world = made.deploy(**changes)
        assert changed_settings(world.account).startswith("features or classes differ from the live model's")
        aborted = world.start(table(99, made.classes))
        wait_for(lambda: "Preprocess" in world.entered(aborted), SECONDS)
        world.account.states.stop_execution(executionArn=aborted)
        made.run(world)
        signature = world.account.settings.signature.name
        wait_for(lambda: traffic.answered[signature] > 10, SECONDS)
    assert changed_settings(world.account) == ""
    assert traffic.wrong == []
    return world, traffic


def rolled_back(world: World) -> Traffic:
    """Put the second newest approved package behind the endpoint, under traffic."""
    traffic = Traffic(world.deployed)
    group = world.account.outputs["ModelPackageGroup"]
    with traffic.running():
        packages = world.account.sagemaker.list_model_packages(
            ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending"
        )["ModelPackageSummaryList"]
        request = {"package": packages[1]["ModelPackageArn"]}
        machine = world.account.outputs["DeployMachine"]
        started = world.account.states.start_execution(stateMachineArn=machine, input=json.dumps(request))
        run = world.deployed.ended(started["executionArn"], SECONDS)
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
        known = world.account.sagemaker.describe_model_package(ModelPackageName=request["package"])
        signature = known["CustomerMetadataProperties"]["signature"]
        wait_for(lambda: traffic.answered[signature] > 10, SECONDS)
    assert traffic.wrong == []
    return traffic


def test_settings_that_change_features_and_classes_change_no_answer_before_their_model_is_live(
    deployed: Deployed, tmp_path: Path
) -> None:
    with stage(deployed, tmp_path, "change") as made:
        world = made.deploy()
        made.run(world)
        first = world.account.settings.signature.name
        world, traffic = changed(world, made, features=["c", "b", "a"], labels=["low", "mid", "high"])
        assert set(traffic.answered) == {first, world.account.settings.signature.name}
        assert set(rolled_back(world).answered) == set(traffic.answered)
        variant = world.account.sagemaker.describe_endpoint(EndpointName="change")["ProductionVariants"][0]
        assert variant["VariantName"] == f"signature-{first}"


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rollout", ["all_at_once", "canary"])
def test_every_change_of_the_signature_is_retrained_without_a_wrong_answer(
    deployed: Deployed, tmp_path: Path, rollout: str
) -> None:
    with stage(deployed, tmp_path, f"chg-{rollout[:3]}", rollout=rollout) as made:
        world = made.deploy()
        made.run(world)
        for what, changes in CHANGES.items():
            world, traffic = changed(world, made, **changes)
            print(f"{rollout}, {what}: {dict(traffic.answered)}, {traffic.refused} refused")
        rolled_back(world)
    with stage(
        deployed, tmp_path, f"swap-{rollout[:3]}", rollout=rollout, data={**BINARY, "features": ["a", "b", "c"]}
    ) as made:
        world = made.deploy()
        made.run(world)
        world, traffic = changed(world, made, **SWAP)
        print(f"{rollout}, positive class swapped: {dict(traffic.answered)}, {traffic.refused} refused")
        rolled_back(world)
