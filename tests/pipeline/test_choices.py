"""The choices of the state machines, evaluated by the interpreter; QualityGate beside `decide`, which words its reason."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from local_aws.step_functions.single_state import run_state

from pipeline import deploy, retrain
from pipeline.config import load
from pipeline.jobs.evaluate.quality_gate import Estimate, decide
from pipeline.jobs.shared.documents import Comparison
from pipeline.jobs.shared.golden import right_share, wrong_rows
from pipeline.jobs.shared.settings import GateSettings
from pipeline.settings import Gate
from tests.conftest import ROOT

SECTION = "binary_classification_metrics"
GATE = {"minimum": {"accuracy": 0.9, "auc": 0.95}, "maximum": {"log_loss": 0.3}}
GOOD = {"accuracy": 0.9, "auc": 0.95, "log_loss": 0.3}
"""Each value is at its bound."""
MARGIN = 0.01


def compared(low: float) -> Comparison:
    figures: Any = {"metric": "auc", "challenger": 0.95, "champion": 0.95, "difference": 0.0}
    return {**figures, "interval": [low, 0.02], "confidence": 0.95}


def broken() -> Iterator[tuple[str, dict[str, float], Comparison | None]]:
    """Metrics and comparisons that break one bound each, first those that break none; the golden rows are right."""
    yield "nothing, and there is no champion", GOOD, None
    yield "nothing", GOOD, compared(-MARGIN)
    for name in GATE["minimum"]:
        for comparison in (None, compared(0.0)):
            yield name, {**GOOD, name: GOOD[name] - 1e-6}, comparison
    for name in GATE["maximum"]:
        for comparison in (None, compared(0.0)):
            yield name, {**GOOD, name: GOOD[name] + 1e-6}, comparison
    yield "the champion", GOOD, compared(-MARGIN - 1e-6)


CASES = list(broken())
HOST: Any = SimpleNamespace(
    account="123456789012", region="us-east-1", arn="arn:aws:{}:us-east-1:123456789012:{}".format
)


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    settings = load(ROOT / "pipeline.toml")
    gate = Gate(**GATE, margin=MARGIN, confidence=0.95)
    return dict(retrain.definition(settings.model_copy(update={"gate": gate}))["States"]["QualityGate"])


def chosen(state: dict[str, Any], given: dict[str, Any]) -> str:
    """The state after a Choice."""
    _, _, answer = run_state(HOST, None, {"definition": json.dumps(state), "input": json.dumps(given)})
    found = json.loads(answer)
    assert found["status"] == "SUCCEEDED", found
    return str(found["nextState"])


@pytest.mark.parametrize(("what", "metrics", "comparison"), CASES, ids=[what for what, _, _ in CASES])
def test_the_state_and_the_job_decide_alike_of_a_model_that_breaks_one_bound(
    state: dict[str, Any], what: str, metrics: dict[str, float], comparison: Comparison | None
) -> None:
    gate = GateSettings(**GATE, margin=MARGIN, confidence=0.95)
    estimates = {name: Estimate(value, np.array([value])) for name, value in metrics.items()}
    by_job = decide(gate, estimates, comparison)["accepted"]
    by_state = chosen(state, evaluation(metrics, comparison)) == state["Default"]
    assert (by_state, by_job) == (what.startswith("nothing"),) * 2


def evaluation(metrics: dict[str, float], comparison: Comparison | None, golden: float = 1.0) -> dict[str, Any]:
    """The execution's state before the gate."""
    section = {name: {"value": value} for name, value in metrics.items()}
    document: dict[str, Any] = {SECTION: section, "golden": {"share": golden}}
    return {"evaluation": {"document": document | ({"comparison": comparison} if comparison else {})}}


@pytest.mark.parametrize("comparison", [None, compared(0.0)])
@pytest.mark.parametrize(("faults", "accepted"), [(["", "", ""], True), (["", "", "x"], True), (["", "x", "x"], False)])
def test_the_state_and_the_job_decide_alike_of_golden_rows(
    comparison: Comparison | None, faults: list[str], accepted: bool
) -> None:
    settings = load(ROOT / "pipeline.toml")
    endpoint = settings.endpoint.model_copy(update={"golden_share": 2 / 3})
    gate = Gate(**GATE, margin=MARGIN, confidence=0.95)
    definition = retrain.definition(settings.model_copy(update={"gate": gate, "endpoint": endpoint}))
    state = definition["States"]["QualityGate"]
    estimates = {name: Estimate(value, np.array([value])) for name, value in GOOD.items()}
    limits = GateSettings(**GATE, margin=MARGIN, confidence=0.95)
    by_job = decide(limits, estimates, comparison, golden=wrong_rows(faults, 2 / 3))["accepted"]
    by_state = chosen(state, evaluation(GOOD, comparison, right_share(faults))) == state["Default"]
    assert (by_state, by_job) == (accepted, accepted)


def test_without_golden_rows_the_gate_does_not_look_for_them() -> None:
    settings = load(ROOT / "pipeline.toml")
    without = settings.model_copy(update={"endpoint": settings.endpoint.model_copy(update={"golden": ()})})
    assert "golden" not in json.dumps(retrain.definition(without)["States"]["QualityGate"])


@pytest.mark.parametrize(
    ("name", "given", "following"),
    [
        ("PackageApproved", {"package": {"arn": "p", "status": "PendingManualApproval"}}, "PackageNotApproved"),
        ("PackageApproved", {"package": {"arn": "p", "status": "Rejected"}}, "PackageNotApproved"),
        ("PackageApproved", {"package": {"arn": "p", "status": "Approved"}}, None),
        ("HasFailedEndpoint", {"champion": {"status": "Failed"}}, "DeleteFailedEndpoint"),
        ("HasFailedEndpoint", {"champion": {"status": "none"}}, None),
        ("HasFailedEndpoint", {"champion": {"status": "InService"}}, None),
        ("HasEndpoint", {"champion": {"config": "none"}}, "CreateEndpoint"),
        ("HasEndpoint", {"champion": {"config": "shop-1"}}, None),
        ("HasChampion", {"champion": {"config": "none"}}, "DeleteEndpoint"),
        ("HasChampion", {"champion": {"config": "shop-1"}}, None),
        ("IsNewPackage", {"request": {"parent": "run"}}, None),
        ("IsNewPackage", {"request": {"parent": ""}}, "FinishFailed"),
    ],
)
def test_a_deployment_chooses_by_the_package_and_by_what_is_live(
    name: str, given: dict[str, Any], following: str | None
) -> None:
    """None is the state's default."""
    state = deploy.definition(load(ROOT / "pipeline.toml"))["States"][name]
    found = chosen(state, given)
    assert found == (following or state["Default"])
    assert (found == state["Default"]) == (following is None)
