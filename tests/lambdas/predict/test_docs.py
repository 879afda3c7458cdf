"""The page at /docs: on Node with a fake document, and in a real browser without a network."""

import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from playwright.sync_api import Page

from lambdas.predict.api import Api
from tests.conftest import ROOT
from tests.lambdas.predict.conftest import in_stage
from tests.lambdas.predict.signed import Consumer
from tests.ops.browser import LAPTOP, SHOTS, chromium, faults_of, needed

PAGE = (ROOT / "lambdas" / "predict" / "docs.html").read_text("utf-8")
SCRIPT = PAGE.partition("<script>")[2].partition("</script>")[0]
BROWSER, SEND_EACH = (Path(__file__).with_name(name).read_text("utf-8") for name in ("browser.js", "send_each.js"))


def node(script: str, *arguments: str) -> Any:
    command: list[str | Path] = [Path(sys.executable).with_name("node"), "-", *arguments]
    ran = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_page_posts_the_examples_and_shows_the_answers(api: Api) -> None:
    with in_stage(api) as url:
        page = node(BROWSER + SCRIPT + SEND_EACH, f"{url}/docs")
    assert (page["title"], page["hidden"]) == ("breast-cancer predictions", False)
    assert [status for status, _ in page["shown"]] == ["200 breast-cancer-1"] * 3
    one, many, csv = (json.loads(answer) for _, answer in page["shown"])
    assert (one, [answer["label"] for answer in many["predictions"]]) == ("B", ["B", "M"])
    assert csv == many


@pytest.mark.parametrize("session", ["", "a/session+token=="])
def test_the_page_signs_as_botocore_does(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, body, region = "https://x.execute-api.eu-west-1.amazonaws.com/v1/predictions", '{"é": 1}', "eu-west-1"
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None))
    request = AWSRequest("POST", url, data=body.encode(), headers={"content-type": "application/json"})
    SigV4Auth(Credentials("AKID", "SECRET", session or None), "execute-api", region).add_auth(request)
    given = {"key": "AKID", "secret": "SECRET", "session": session, "region": region}
    date = f"new Date({now.isoformat()!r})"
    call = f"sign(new URL({url!r}), {body!r}, {{'content-type': 'application/json'}}, {json.dumps(given)}, {date})"
    signed = node(f"{SCRIPT}\n{call}.then((headers) => console.log(JSON.stringify(headers)));")
    assert signed["authorization"] == request.headers["Authorization"]


def test_the_page_asks_nothing_of_any_other_host() -> None:
    assert "//" not in PAGE.replace("// AWS Signature", "")
    assert "connect-src 'self'" in PAGE


def in_browser(test: Any) -> Any:
    return pytest.mark.cloud(needed(test))


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(viewport=LAPTOP)


def send(page: Page) -> tuple[str, str]:
    """Press Send and return the status and the answer that the page shows."""
    page.get_by_role("button", name="Send").click()
    page.locator("#status", has_text=re.compile(r"\d")).wait_for()
    return page.locator("#status").inner_text(), page.locator("#answer").inner_text()


@needed
def test_the_form_fits_the_columns_and_fills_in_a_row(encoded: Api, sagemaker: Any, page: Page) -> None:
    with in_stage(encoded) as url:
        page.goto(f"{url}/docs")
        page.get_by_text("Fill in one row by name").click()
        fields = page.locator("#values label").all()
        assert [field.inner_text().split()[0] for field in fields] == ["age", "class", "sex", "port", "alone", "fare"]
        inputs = page.locator("#values input").all()
        kinds = [(field.get_attribute("type"), field.get_attribute("placeholder")) for field in inputs]
        assert kinds == [("number", "missing"), *[("text", "")] * 2, ("text", "missing"), ("number", "")]
        assert [field.input_value() for field in inputs] == ["22", "3", "male", "Southampton, UK", "7.25"]
        alone = page.get_by_label("alone")
        assert (alone.input_value(), alone.inner_text().split()) == ("false", ["true", "false", "missing"])
        alone.select_option("missing")
        page.get_by_label("age").fill("")
        page.get_by_label("sex").fill('a "b"')
        row = {"age": None, "class": "3", "sex": 'a "b"', "port": "Southampton, UK", "alone": None, "fare": 7.25}
        assert json.loads(page.get_by_label("Body").input_value()) == {"instances": [row]}
        status, answer = send(page)
    assert (status, json.loads(answer)["predictions"][0]["label"]) == ("200 breast-cancer-1", "no")
    assert sagemaker.rows == [',3,"a ""b""","Southampton, UK",,7.25']


@needed
def test_the_form_of_numbers_starts_with_the_golden_row(api: Api, sagemaker: Any, page: Page, rows: Any) -> None:
    with in_stage(api) as url:
        page.goto(f"{url}/docs")
        page.get_by_text("Fill in one row by name").click()
        page.get_by_label("radius_mean").fill("17.5")
        status, answer = send(page)
    assert (status, json.loads(answer)["predictions"][0]["label"]) == ("200 breast-cancer-1", "M")
    assert sagemaker.rows == [",".join(map(repr, [17.5, *rows[0][1:]]))]


@needed
def test_a_page_that_was_opened_before_a_change_of_the_signature_gets_no_answer(
    api: Api, sagemaker: Any, page: Page
) -> None:
    with in_stage(api) as url:
        page.goto(f"{url}/docs")
        page.locator("#what option").first.wait_for(state="attached")
        document = json.loads((api.folder / "signature.json").read_text())
        sagemaker.signatures["other"] = json.dumps({**document, "features": document["features"][::-1]})
        sagemaker.variants = ["signature-other"]
        api.endpoint.read_at = float("-inf")
        status, answer = send(page)
    assert (status.split()[0], json.loads(answer)["signature"]) == ("409", "other")


@needed
def test_the_page_of_a_table_with_texts_and_gaps_has_no_faults(encoded: Api) -> None:
    with in_stage(encoded) as url:
        opened = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
        assert faults_of(f"{url}/docs", "docs-encoded", lambda page: page.evaluate(opened)) == []


@in_browser
def test_the_page_posts_the_example_row_and_shows_its_label(consumer: Consumer, page: Page) -> None:
    asked, failed = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    page.goto(f"{consumer.url}/docs")
    page.get_by_text("Credentials: they stay in this page").click()
    shown = [label.inner_text().strip() for label in page.locator("#signed label:visible").all()]
    assert shown == ["Access key id", "Secret access key", "Session token, of temporary credentials", "Region"]
    page.get_by_label("Access key id").fill(os.environ["AWS_ACCESS_KEY_ID"])
    page.get_by_label("Secret access key").fill(os.environ["AWS_SECRET_ACCESS_KEY"])
    status, answer = send(page)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "docs.png", full_page=True)
    assert (status.startswith("200 "), answer, failed) == (True, '"B"', [])
    assert {url.startswith(consumer.url) for url in asked} == {True}


@in_browser
def test_a_refusal_is_shown_with_what_to_do(consumer: Consumer, page: Page) -> None:
    page.goto(f"{consumer.url}/docs")
    page.get_by_label("Body").fill('{"data": "1,2"}')
    status, answer = send(page)
    assert (status.startswith("401"), "Authorise the call" in answer) == (True, True)
