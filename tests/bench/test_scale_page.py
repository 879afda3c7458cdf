"""What a load and data of some size would take."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench import scale_page
from bench.fleet import Service
from bench.scale_page import Sized
from pipeline.config import at_stage
from pipeline.settings import Endpoint
from tests.conftest import ROOT

PRICES = {"hour": {"ml.m5.large": 0.1}}


@pytest.fixture
def sample() -> Any:
    return json.loads(Path(__file__).with_name("sample.json").read_text())


def test_a_batch_takes_what_one_row_takes_and_each_further_row_a_little(sample: Any) -> None:
    one, batch = scale_page.services(sample)
    assert one == Service(median=0.001, p99=0.003)
    assert (batch.median, batch.p99) == pytest.approx((0.001 + 99e-5, 0.003 + 99e-5))


def test_a_figure_that_was_renamed_is_named(sample: Any) -> None:
    sample["figures"] = [record for record in sample["figures"] if record["part"] != "serving"]
    with pytest.raises(LookupError, match=r"no figure '1000 rows in one request' in performance\.json"):
        scale_page.services(sample)


def test_a_burstable_type_is_taken_only_where_their_number_stays() -> None:
    prices = {"hour": {"ml.t2.medium": 0.001, "ml.c5.large": 1.0, "ml.c5.2xlarge": 9.0}}
    service = Service(median=0.001, p99=0.003)
    few, many = (scale_page.cheapest(calls, service, prices) for calls in (100, 1_000))
    assert (few[0], few[1].low, few[1].high) == ("ml.t2.medium", 2, 2)
    assert many[0] == "ml.c5.large"


def test_autoscaling_is_shown_as_settings_that_load(sample: Any) -> None:
    text = scale_page.markdown(sample)
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    document = tomllib.loads((ROOT / "pipeline.toml").read_text())
    endpoint = Endpoint(
        **{**at_stage(document, "prod")["endpoint"], **tomllib.loads(shown)["stage"]["prod"]["endpoint"]}
    )
    assert endpoint.autoscaled


def test_a_job_gets_instances_until_it_ends_within_the_hour(sample: Any) -> None:
    preprocess, train = sample["growth"][1], sample["growth"][3]
    alone = (1e10 / 81.25e6 + 1e10 / 295 * 5.5e-6) / 3600 + 1 / 12
    shared = (1e12 / 81.25e6 + 1e12 / 295 * 5.5e-6 / 0.8) / 16 / 3600 + 1 / 12
    streamed = 1e10 / 295 * 4e-6 / 3600 + 1 / 12
    found = [*scale_page.sized([preprocess, train], 1e10, PRICES), *scale_page.sized([preprocess], 1e12, PRICES)]
    assert found == [
        Sized("preprocess", 1, pytest.approx(alone), pytest.approx(0.1 * alone), 32, "processor"),
        Sized("train", 1, pytest.approx(streamed), pytest.approx(0.1 * streamed), 10, "processor"),
        Sized("preprocess", 16, pytest.approx(shared), pytest.approx(1.6 * shared), 148, "processor"),
    ]


def test_one_instance_evaluates_a_hold_out_that_stops_growing(sample: Any) -> None:
    evaluate = {**sample["growth"][1], "job": "evaluate", "seconds": 2000.0}
    large, larger = (next(scale_page.sized([evaluate], length, PRICES)) for length in (1e12, 1e13))
    assert large == larger
    assert (large.instances, large.hours) == (1, pytest.approx(11.2, rel=0.01))


def test_the_document_has_a_row_for_each_load_and_each_job_of_each_size(sample: Any) -> None:
    text = scale_page.markdown(sample)
    assert text == scale_page.markdown(sample)
    assert sum(line.startswith(f"| {rows:,} | {many} |") for rows in scale_page.RATES for many in (1, 100)
               for line in text.splitlines()) == 10  # fmt: skip
    for size in scale_page.SIZES:
        assert [
            line.split(" | ")[1]
            for line in text.splitlines()
            if line.startswith(f"| {size} | ") and line.count("|") == 8
        ] == ["preprocess", "train"]
    (tightest,) = (line for line in text.splitlines() if line.startswith("| 100,000 | 1 |"))
    assert "API Gateway 10,000 calls/s, Lambda concurrency 1,000" in tightest
