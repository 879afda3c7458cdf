"""The API with all its protections on, deployed to its own local AWS, before the first model."""

from collections.abc import Iterator

import pytest
import requests
from local_aws.cloud import running

from ops.predict import Example, Refused, label_of
from tests.conftest import SHIPPED, UNMEASURED, Deployed, deploy
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.full]
ROW = ",".join(["1.5"] * 30)
ORIGIN = "https://example.org"
GUARDS = f"""
[stage.guarded.api]
metering = true
calls_per_day = 3
cors_origin = "{ORIGIN}"
waf_rate = 300
concurrency = 20
rollout = "canary"
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("guarded")
    config = folder / "pipeline.toml"
    config.write_text(SHIPPED.read_text() + GUARDS)
    with pytest.MonkeyPatch.context() as patched, running(environment=UNMEASURED) as cloud:
        patched.setenv("STAGE", "guarded")
        yield deploy(cloud, config, patched)


@pytest.fixture
def consumer(guarded: Deployed) -> Consumer:
    return Consumer(guarded)


def test_a_page_of_the_origin_may_call_and_read_refusals(consumer: Consumer) -> None:
    preflight = requests.options(f"{consumer.url}/predictions", headers={"Origin": ORIGIN}, timeout=10)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Methods"]) == (204, "POST")
    refused = requests.post(f"{consumer.url}/predictions", timeout=10)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)


def test_a_call_without_a_key_is_refused_and_ops_has_one_until_the_days_calls_are_used_up(
    guarded: Deployed, consumer: Consumer
) -> None:
    answer = consumer.post(consumer.path, "{}")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem-type:forbidden")
    for _ in range(3):
        with pytest.raises(Refused, match="503 No model has been deployed yet"):
            label_of(guarded.account, Example(ROW))
    with pytest.raises(Refused, match="429 The day's calls are used up"):
        label_of(guarded.account, Example(ROW))
