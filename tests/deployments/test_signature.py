"""Settings that change what a model takes and answers, under traffic: no answer is in another model's words."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from local_aws.cloud import Cloud

from ops.retrain import start_rollback
from ops.runs import Run
from ops.status import changed_settings
from tests.conftest import Deployed, deploy, wait_for
from tests.deployments.world import World
from tests.lambdas.predict.signed import Signed

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

RATE, SMALL_RATE = 20, 5
"""Calls a second."""
CALLERS = 6
"""Calls that may wait for their answers at once: on a busy machine there are fewer a second, but none times out."""
SECONDS = 300
COLUMNS = ("a", "b", "c", "port")
LARGE = {"instance_type": "ml.m5.large"}
SETTINGS: dict[str, Any] = {
    "processing": LARGE,
    "training": {**LARGE, "hyperparameters": {"mini_batch_size": 20, "epochs": 50}},
    "transform": LARGE,
    "gate": {"minimum": {"accuracy": 0.8}, "margin": 0.3},
    "api": {"path": "/predict"},
}
DATA = {
    "target": "y",
    "minimum_rows_per_class": 10,
    "split": {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "1"},
}
THREE = {"predictor_type": "multiclass_classifier", "features": ["a", "b", "c"], "labels": ["high", "low", "mid"]}
OTHER = {**THREE, "labels": ["low", "mid", "high"]}
TWO = {
    "predictor_type": "binary_classifier",
    "features": ["a", "b", "c"],
    "positive_label": "high",
    "negative_label": "low",
}
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "features reordered": (THREE, {"features": ["c", "b", "a"]}),
    "classes reordered": ({**THREE, "features": ["c", "b", "a"]}, {"labels": ["low", "mid", "high"]}),
    "a feature removed": ({**OTHER, "features": ["c", "b", "a"]}, {"features": ["b", "a"]}),
    "a feature added": ({**OTHER, "features": ["b", "a"]}, {"features": ["c", "a", "b"]}),
    "a categorical added": (
        {**OTHER, "features": ["c", "a", "b"]},
        {"features": ["c", "port", "a"], "kinds": {"port": "categorical"}},
    ),
    "the categorical removed": (
        {**OTHER, "features": ["c", "port", "a"], "kinds": {"port": "categorical"}},
        {"features": ["a", "b"], "kinds": {}, "id_columns": ["c"]},
    ),
    "positive class swapped": (TWO, {"positive_label": "low", "negative_label": "high"}),
}
"""Each begins where the one before ends: [data] before, and what changes in it."""
PATIENT = {"latency_ms": 30_000}
"""Other tests may keep the machine busy."""
ROLLOUTS: dict[str, dict[str, Any]] = {
    "all at once": {
        "release": {"rollout": "all_at_once"},
        "endpoint": {**PATIENT, "instance_type": "ml.t2.medium"},
    },
    "canary, scaled": {
        "release": {"rollout": "canary", "bake_seconds": 60},
        "endpoint": {**PATIENT, **LARGE, "instance_count": 1, "max_instances": 2, "calls_per_minute": 10_000},
    },
}


def label(a: float, classes: list[str]) -> str:
    """What a model must answer: `a` decides alone."""
    limit = 0.6 if "mid" in classes else 0.0
    return "high" if a > limit else "low" if a < -limit or "mid" not in classes else "mid"


def table(seed: int, classes: list[str], rows: int = 400) -> bytes:
    """Rows of which `c` is an id, too."""
    generator = random.Random(seed)
    lines = ["a,b,c,port,y"]
    for number in range(rows):
        a, b, c = (round(generator.gauss(0, 1.5), 3) for _ in "abc")
        port = generator.choice(["north", "south"])
        lines.append(f"{a},{b},{c + number / 1e6:.6f},{port},{label(a, classes)}")
    return "\n".join(lines).encode()


def values(a: float) -> dict[str, Any]:
    """A row whose label would be another one in another order."""
    return {"a": a, "b": -a, "c": 0.0, "port": "north"}


@dataclass
class Traffic:
    """Calls in turn by position and by name, and what is wrong with each answer.

    The consumer follows the signature of the last answer; after a refusal of its rows it reads the API's document.
    """

    deployed: Deployed
    rate: float
    wrong: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    refused: int = 0
    began: float = field(default_factory=time.monotonic)
    _documents: dict[str, Any] = field(default_factory=dict)
    _features: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        stop, numbers = threading.Event(), itertools.count()
        threads = [threading.Thread(target=self._run, args=(stop, numbers)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def reaches(self, signature: str) -> None:
        """Wait for more answers of this signature."""
        enough = self.answered[signature] + 20
        wait_for(lambda: self.answered[signature] >= enough, SECONDS)

    def _run(self, stop: threading.Event, numbers: Iterator[int]) -> None:
        """Make a call when it is due, however long others take."""
        generator = random.Random(1)
        with requests.Session() as session:
            session.auth = Signed()
            for number in numbers:
                if stop.wait(max(0.0, number / self.rate - self.seconds)):
                    return
                self.sent += 1
                try:
                    self._ask(session, bool(number % 2), generator.choice([2.5, -2.5]))
                except Exception as error:
                    self._note(f"{type(error).__name__}: {error}")

    def _ask(self, session: requests.Session, named: bool, a: float) -> None:
        address = self.deployed.account.api_url.removesuffix("/predict")
        if not self._features:
            document = session.get(f"{address}/openapi.json", timeout=30).json()
            self._features = self._document(document["info"]["x-model-signature"])["features"]
        row = {name: values(a)[name] for name in self._features}
        instance = row if named else list(row.values())
        answer = session.post(f"{address}/predictions", json={"instances": [instance]}, timeout=30)
        if answer.status_code == 400:
            self.refused += 1
            self._features = []
        elif answer.ok:
            self._check(instance, answer)
        else:
            self._note(f"{instance}: {answer.status_code} {answer.text}")

    def _check(self, instance: Any, answer: requests.Response) -> None:
        name, body = answer.headers["X-Model-Signature"], answer.json()
        document = self._document(name)
        features, classes = document["features"], document["classes"]
        row = instance if isinstance(instance, dict) else dict(zip(features, instance, strict=True))
        (prediction,) = body["predictions"]
        said = prediction["label"], classes[prediction["predicted_label"]], body["model"]["variant"]
        if said != (label(row["a"], classes), prediction["label"], f"signature-{name}"):
            self._note(f"{instance} by {name} {features}: {body}")
        self.answered[name] += 1
        self._features = features

    def _note(self, what: str) -> None:
        self.wrong.append(f"after {self.seconds:.1f} s: {what}")

    def _document(self, name: str) -> Any:
        if name not in self._documents:
            bucket = self.deployed.account.outputs["DataBucket"]
            body = self.deployed.account.s3.get_object(Bucket=bucket, Key=f"signatures/{name}.json")["Body"]
            found = json.load(body)
            self._documents[name] = {**found, "features": [feature["name"] for feature in found["features"]]}
        return self._documents[name]


@dataclass
class Stage:
    """A stack whose settings change; `world` is as it was deployed last."""

    cloud: Cloud
    folder: Path
    patched: pytest.MonkeyPatch
    name: str
    settings: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    made: int = 0
    world: World = field(init=False)

    @property
    def classes(self) -> list[str]:
        return list(self.data.get("labels") or [self.data["negative_label"], self.data["positive_label"]])

    @property
    def signature(self) -> str:
        """That of the settings."""
        return str(self.world.account.settings.signature.name)

    def deploy(self, data: dict[str, Any]) -> None:
        """Deploy these [data], with a golden row by position."""
        self.data, self.made = data, self.made + 1
        used = [*data["features"], *data.get("id_columns", [])]
        ignored = {"ignored_columns": [name for name in COLUMNS if name not in used]}
        golden = {"row": [values(2.5)[name] for name in data["features"]], "label": "high"}
        tables = {
            **SETTINGS,
            **self.settings,
            "project": {"name": self.name},
            "data": DATA | data | ignored,
            "endpoint": {**self.settings["endpoint"], "golden": [golden]},
        }
        config = self.folder / f"{self.made}.toml"
        config.write_text("".join(f"{key} = {toml(value)}\n" for key, value in tables.items()))
        made = deploy(self.cloud, config, self.patched, bootstrapped=True)
        self.world = World(made, "")

    def at(self, data: dict[str, Any]) -> None:
        """Have a live model of these [data]."""
        if data != self.data:
            self.deploy(data)
            self.retrain()

    def retrain(self) -> None:
        accepted(self.world.run(table(self.made, self.classes)))

    def abort(self) -> None:
        """Abort a run: in its preprocessing, or with a canary in its deployment, which goes on."""
        run = self.world.start(table(99, self.classes))
        deploys = self.settings["release"]["rollout"] == "canary"
        wait_for(lambda: ("WaitForEndpoint" if deploys else "Preprocess") in self.world.entered(run), SECONDS)
        self.world.stop(run)
        self.world.settled()

    def roll_back(self, package: str) -> None:
        """`ops rollback`, again until this package is live: the deployment of an aborted run may be between."""
        for _ in range(2):
            if self.world.model() != package:
                accepted(self.world.ended(start_rollback(self.world.account)))
        assert self.world.model() == package

    def roll_forward(self, package: str) -> None:
        machine, request = self.world.account.outputs["DeployMachine"], json.dumps({"package": package})
        begun = self.world.account.states.start_execution(stateMachineArn=machine, input=request)
        accepted(self.world.ended(begun["executionArn"]))


def accepted(run: Run) -> None:
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), f"{run.outcome} {run.why}"


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


@contextmanager
def staged(bootstrapped: Cloud, folder: Path, rollout: str, name: str) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patched:
        yield Stage(bootstrapped, folder, patched, name, ROLLOUTS[rollout])


@pytest.fixture(scope="module", params=ROLLOUTS)
def stage(
    request: pytest.FixtureRequest, bootstrapped: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One stack for all changes."""
    name = f"changes-{list(ROLLOUTS).index(request.param)}"
    with staged(bootstrapped, tmp_path_factory.mktemp(name), request.param, name) as made:
        yield made


def follow(stage: Stage, before: dict[str, Any], changes: dict[str, Any], rate: float = RATE) -> None:
    """Deploy the changes, abort a run, retrain, roll back, and deploy the new model again, under traffic."""
    stage.at(before)
    old, package = stage.signature, stage.world.model()
    traffic = Traffic(stage.world.deployed, rate)
    with traffic.running():
        traffic.reaches(old)
        stage.deploy(before | changes)
        new = stage.signature
        assert changed_settings(stage.world.account).startswith("features or classes differ from the live model's")
        traffic.reaches(old)
        stage.abort()
        stage.retrain()
        traffic.reaches(new)
        assert changed_settings(stage.world.account) == ""
        retrained = stage.world.model()
        stage.roll_back(package)
        traffic.reaches(old)
        stage.roll_forward(retrained)
        traffic.reaches(new)
        seconds = traffic.seconds
    assert traffic.wrong == []
    assert set(traffic.answered) == {old, new}
    print(f"{traffic.sent / seconds:.1f} calls a second, {traffic.refused} refused, {dict(traffic.answered)}")


@pytest.mark.rotated
def test_settings_that_change_features_and_classes_change_no_answer_before_their_model_is_live(
    bootstrapped: Cloud, tmp_path: Path
) -> None:
    with staged(bootstrapped, tmp_path, "all at once", "change") as made:
        follow(made, THREE, {"features": ["c", "b", "a"], "labels": ["low", "mid", "high"]}, SMALL_RATE)


@pytest.mark.full
@pytest.mark.xdist_group("bootstrapped-2")
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_the_signature_is_retrained_without_a_wrong_answer(stage: Stage, change: str) -> None:
    follow(stage, *CHANGES[change])
