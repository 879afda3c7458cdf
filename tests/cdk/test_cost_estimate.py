"""The cost estimate: the idle endpoint comes first, and the sums follow from the settings and the prices."""

import tomllib
from collections import Counter

import pytest

from cdk.api.protection import MANAGED
from cdk.cost_estimate import PRICES as PRICE_FILE
from cdk.cost_estimate import Prices, always_on, both_kinds, estimate, per_run, per_scored_file
from pipeline.config import Settings, load
from pipeline.settings import Serverless
from tests.conftest import ROOT

DEV, PROD = (load(ROOT / "pipeline.toml", stage) for stage in ("dev", "prod"))
PRICES: Prices = {
    "date": "2000-01-01",
    "hour": {"ml.t2.medium": 1.0, "ml.m5.large": 12.0},
    "month": {"AWS::KMS::Key": 2.0, "AWS::CloudWatch::Dashboard": 3.0},
    "each": {
        "transition": 0.5,
        "api_call": 1e-6,
        "waf_call": 2e-6,
        "lambda_call": 3e-6,
        "lambda_gb_second": 0.0,
        "serverless_gb_second": 2e-5,
    },
}
TEMPLATE = {"Resources": {"Key": {"Type": "AWS::KMS::Key"}, "Topic": {"Type": "AWS::SNS::Topic"}}}


def test_the_idle_endpoint_is_named_first() -> None:
    lines = [" ".join(line.split()) for line in estimate(DEV, PRICES, TEMPLATE).splitlines()]
    endpoint, key = "730.00 endpoint breast-cancer, 1 x ml.t2.medium, idle or not", "2.00 1 x AWS::KMS::Key"
    assert lines[2:5] == ["always on, per month: 732.00 $", endpoint, key]
    assert "budget: 50 $ per month; always on: 732.00 $" in lines
    assert lines[-1] == "2 resources: 1 AWS::KMS::Key, 1 AWS::SNS::Topic"


def test_a_run_costs_its_jobs_and_its_states() -> None:
    assert [cost for _, cost in per_run(DEV, 4, PRICES)] == [2.0, 1.0, 2.0, 2.0]


def test_a_scored_file_costs_its_three_jobs_unless_scoring_is_off() -> None:
    four = DEV.model_copy(update={"score": DEV.score.model_copy(update={"instance_count": 4})})
    assert [cost for _, cost in per_scored_file(four, PRICES)] == [2.0, 4.0]
    assert "per file scored by batch: 3.00 $" in estimate(DEV, PRICES, TEMPLATE)
    off = DEV.model_copy(update={"score": DEV.score.model_copy(update={"enabled": False})})
    assert "per file scored" not in estimate(off, PRICES, TEMPLATE)


def test_a_run_with_tuning_costs_all_its_training_jobs() -> None:
    tuned = DEV.model_copy(update={"tuning": DEV.tuning.model_copy(update={"jobs": 8})})
    names, costs = zip(*per_run(tuned, 4, PRICES), strict=True)
    assert (names[1], costs) == ("tune, 8 x 5 min of ml.m5.large", (2.0, 8.0, 2.0, 2.0))


def test_waf_costs_per_call() -> None:
    for settings, dollars in ((DEV, 4), (PROD, 6)):
        assert f"per million predictions: {dollars}.00 $" in estimate(settings, PRICES, TEMPLATE)


def test_a_web_acl_costs_as_much_as_its_rules() -> None:
    """5 $ per month and 1 $ for each rule; a group of AWS's managed rules counts as one (AWS WAF pricing)."""
    prices = tomllib.loads(PRICE_FILE.read_text())
    assert prices["month"]["AWS::WAFv2::WebACL"] == 5 + len(["rate", *MANAGED])


def test_an_autoscaled_endpoint_has_its_maximum() -> None:
    (name, cost), *_ = always_on(PROD, Counter(), PRICES)
    assert (name, cost) == ("endpoint breast-prod, 2 x ml.m5.large, idle or not, at most 4", 2 * 12 * 730)


SERVERLESS = DEV.model_copy(
    update={
        "endpoint": DEV.endpoint.model_copy(
            update={"instance_type": "", "serverless": Serverless(memory_mb=2048, max_concurrency=5)}
        )
    }
)


def test_a_serverless_endpoint_costs_nothing_idle_and_its_memory_per_call() -> None:
    lines = [" ".join(line.split()) for line in estimate(SERVERLESS, PRICES, TEMPLATE).splitlines()]
    assert lines[2:4] == ["always on, per month: 2.00 $", "0.00 endpoint breast-cancer, serverless, idle"]
    start = lines.index("per million predictions: 8.00 $")
    assert lines[start + 1] == "4.00 serverless endpoint"


@pytest.mark.parametrize(("settings", "megabytes", "dollars"), [(DEV, 1024, "2.00"), (SERVERLESS, 2048, "4.00")])
def test_both_kinds_of_endpoint_are_compared_by_calls(settings: Settings, megabytes: int, dollars: str) -> None:
    lines = [" ".join(line.split()) for line in both_kinds(settings, PRICES)]
    first = f"endpoint per month by calls: 1 x ml.t2.medium, or serverless with {megabytes} MB at"
    assert lines[:3] == [
        first,
        "0.00002 $ per GB and second and 0.1 s per call",
        "0 calls: 730.00 $ on instances, 0.00 $ serverless",
    ]
    assert f"1,000,000 calls: 730.00 $ on instances, {dollars} $ serverless" in lines
    assert lines[-1] == f"equal at {730 / float(dollars) * 1e6:,.0f} calls"


def test_an_inference_pipeline_has_no_other_kind() -> None:
    data = DEV.data.model_copy(update={"kinds": {"radius_mean": "categorical"}})
    *_, last = both_kinds(DEV.model_copy(update={"data": data}), PRICES)
    assert last == "  this model is an inference pipeline, which SageMaker does not run serverless"


def test_a_price_that_is_missing_is_named() -> None:
    other = DEV.endpoint.model_copy(update={"instance_type": "ml.p9.large"})
    with pytest.raises(ValueError, match=r"no price of ml\.p9\.large: add it to prices\.toml"):
        list(always_on(DEV.model_copy(update={"endpoint": other}), Counter(), PRICES))
