"""The cost estimate: the idle endpoint comes first, and the sums follow from the settings and the prices."""

import tomllib
from collections import Counter

import pytest

from cdk.api.protection import MANAGED
from cdk.cost_estimate import PRICES as PRICE_FILE
from cdk.cost_estimate import Prices, always_on, estimate, per_run
from pipeline.config import load
from tests.conftest import ROOT

DEV, PROD = (load(ROOT / "pipeline.toml", stage) for stage in ("dev", "prod"))
PRICES: Prices = {
    "date": "2000-01-01",
    "hour": {"ml.t2.medium": 1.0, "ml.m5.large": 12.0},
    "month": {"AWS::KMS::Key": 2.0, "AWS::CloudWatch::Dashboard": 3.0},
    "each": {"transition": 0.5, "api_call": 1e-6, "waf_call": 2e-6, "lambda_call": 3e-6, "lambda_gb_second": 0.0},
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


def test_a_price_that_is_missing_is_named() -> None:
    other = DEV.endpoint.model_copy(update={"instance_type": "ml.p9.large"})
    with pytest.raises(ValueError, match=r"no price of ml\.p9\.large: add it to prices\.toml"):
        list(always_on(DEV.model_copy(update={"endpoint": other}), Counter(), PRICES))
