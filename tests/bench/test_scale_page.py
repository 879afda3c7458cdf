"""The instances and the cost of a load and of data of some size."""

import re
import tomllib
from dataclasses import astuple, replace

import pytest

from bench import scale_page
from bench.figures import Measurements
from bench.fleet import Service
from pipeline.config import at_stage
from pipeline.settings import Endpoint
from tests.conftest import ROOT

PRICES = {"hour": {"ml.m5.large": 0.1}}


def test_a_batch_takes_the_time_of_one_row_and_a_little_per_further_row(sample: Measurements) -> None:
    one, batch = scale_page.services(sample)
    assert one == Service(median=0.001, p99=0.003)
    assert (batch.median, batch.p99) == pytest.approx((0.001 + 99e-5, 0.003 + 99e-5))


def test_a_missing_figure_is_named(sample: Measurements) -> None:
    figures = [figure for figure in sample.figures if figure.part != "serving"]
    with pytest.raises(LookupError, match=r"no figure '1000 rows in one request' in performance\.json"):
        scale_page.services(replace(sample, figures=figures))


def test_a_burstable_type_is_chosen_only_if_the_number_of_instances_is_constant() -> None:
    prices = {"hour": {"ml.t2.medium": 0.001, "ml.c5.large": 1.0, "ml.c5.2xlarge": 9.0}}
    service = Service(median=0.001, p99=0.003)
    few, many = (scale_page.cheapest(calls, service, prices) for calls in (100, 1_000))
    assert (few[0], few[1].low, few[1].high) == ("ml.t2.medium", 2, 2)
    assert many[0] == "ml.c5.large"


def test_the_document_shows_autoscaling_settings_that_load(sample: Measurements) -> None:
    text = scale_page.markdown(sample)
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    document = tomllib.loads((ROOT / "pipeline.toml").read_text())
    endpoint, scaled = at_stage(document, "prod")["endpoint"], tomllib.loads(shown)["stage"]["prod"]["endpoint"]
    assert Endpoint(**{**endpoint, **scaled}).autoscaled


def test_the_critical_path_is_that_of_the_state_machines_by_setting(sample: Measurements) -> None:
    table = scale_page.markdown(sample).partition("| changed setting |")[2].partition("\n\n")[0]
    rows = {name: figures for name, *figures in (line.strip("| ").split(" | ") for line in table.splitlines()[2:])}
    shipped, canary, rounds = (
        rows[name] for name in ("none", '`[release] rollout = "canary"`', "`[tuning] jobs = 8`, `parallel = 2`")
    )
    assert [float(value) for value in shipped] == [4, 28.5, 5, 33.5]
    assert [float(value) for value in canary] == [4, 28.5, 10, 38.5]
    assert [float(value) for value in rounds] == [7, 43.5, 5, 48.5]


def test_a_job_gets_instances_until_it_ends_within_the_hour(sample: Measurements) -> None:
    preprocess, train = sample.growth[1], sample.growth[3]
    alone = (1e10 / 81.25e6 + 1e10 / 295 * 5.5e-6) / 3600 + 1 / 12
    shared = (1e12 / 81.25e6 + 1e12 / 295 * 5.5e-6 / 0.8) / 16 / 3600 + 1 / 12
    streamed = 1e10 / 295 * 4e-6 / 3600 + 1 / 12
    found = [*scale_page.sized([preprocess, train], 1e10, PRICES), *scale_page.sized([preprocess], 1e12, PRICES)]
    assert [astuple(job) for job in found] == [
        ("preprocess", 1, pytest.approx(alone), pytest.approx(0.1 * alone), 40, "processor"),
        ("train", 1, pytest.approx(streamed), pytest.approx(0.1 * streamed), 10, "processor"),
        ("preprocess", 16, pytest.approx(shared), pytest.approx(1.6 * shared), 198, "processor"),
    ]


def test_one_instance_evaluates_a_hold_out_that_stops_growing(sample: Measurements) -> None:
    evaluate = replace(sample.growth[1], job="evaluate", seconds=2000.0)
    large, larger = (next(scale_page.sized([evaluate], length, PRICES)) for length in (1e12, 1e13))
    assert large == larger
    assert large.instances == 1
    assert large.hours == pytest.approx(11.2, rel=0.01)
