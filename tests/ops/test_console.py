"""The console in a real browser, over a live pipeline: what it shows, and that it shows it as it happens."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from ops.console.server import Console
from ops.runs import steps
from tests.conftest import WDBC, Deployed
from tests.ops.browser import FLAGS, PROGRAM, faults_of, needed

pytestmark = pytest.mark.cloud

WATCH = """() => { window.turned = []; new MutationObserver((changes) => changes.forEach(({target}) => {
  if (target.dataset?.how) window.turned.push([target.dataset.state, target.dataset.how]);
})).observe(document.getElementById("graph"), {subtree: true, attributes: true, attributeFilter: ["data-how"]}); }"""
IN_VIEW = """() => [...document.querySelectorAll("#graph .node")].every((node) => {
  const {left, right, bottom} = node.getBoundingClientRect();
  return left >= 0 && right <= innerWidth && bottom <= innerHeight; })"""
JOBS = ["Preprocess", "Train", "ScoreHoldout", "Evaluate"]


@pytest.fixture(scope="module")
def console(live: Deployed) -> Iterator[Console]:
    with Console(live.account, 0) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


@pytest.fixture
def page(console: Console) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, headless=True, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(console.url)
        tab.wait_for_selector("#runs button")
        yield tab
        browser.close()


def asked(console: Console, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", console.server_port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, json.loads(text) if answer.headers["Content-Type"] == "application/json" else text


@needed
def test_the_console_has_no_faults_in_a_browser(console: Console) -> None:
    shown: list[str] = []

    def read(tab: Page) -> None:
        tab.wait_for_selector("#graph .done")
        shown.append(tab.locator("#live").inner_text())

    assert faults_of(console.url, "console", read) == []
    assert all(text.startswith("InService since") for text in shown)


@needed
def test_the_graph_opens_with_the_main_path_in_view_and_failures_folded(page: Page) -> None:
    page.locator("#runs button", has_text="accepted").first.click()
    page.wait_for_selector("[data-state='Deploy/SmokeTest'].done")
    assert page.evaluate(IN_VIEW)
    assert page.locator("[data-state=FinishFailed]").count() == 0
    page.locator("#fold").click()
    page.wait_for_selector("[data-state=FinishFailed]")
    assert page.locator("[data-state='Deploy/RestoreChampion']").count() == 1


@needed
def test_the_graph_turns_state_by_state_during_a_run(live: Deployed, page: Page) -> None:
    header, *rows = WDBC.read_text().splitlines()
    page.evaluate(WATCH)
    run = live.run("seen.csv", "\n".join([header, *rows[1:], rows[0]]).encode())
    live.clear()
    assert run.outcome == "accepted", run
    page.wait_for_function("() => document.querySelector('[data-state=Done]').dataset.how === 'done'")
    turned = [tuple(each) for each in page.evaluate("window.turned")]
    visited = [step.state for step in steps(live.account, run)]
    for state in JOBS:
        assert turned.index((state, "running")) < turned.index((state, "done")), turned
    order = [state for state, how in turned if how == "running" and state in visited]
    assert [state for state in order if state in JOBS] == JOBS


@needed
def test_a_failed_run_shows_its_cause_without_a_click(live: Deployed, page: Page) -> None:
    header = WDBC.read_text().splitlines()[0]
    live.run("wrong.csv", f"{header}\nx\n".encode())
    live.clear()
    page.wait_for_function("() => document.getElementById('cause').innerText.includes('wrong.csv, row 2')")
    assert page.locator("#failure").is_visible()
    assert page.locator("[data-state=Preprocess]").get_attribute("aria-label") == "Preprocess, failed"
    page.locator("[data-state=Preprocess]").click()
    page.wait_for_function(
        "() => document.querySelector('#log mark') || document.getElementById('log').innerText.includes('wrong.csv')"
    )
    assert "wrong.csv, row 2" in page.locator("#log").inner_text()


@needed
def test_a_row_is_answered_and_the_report_is_inside(live: Deployed, page: Page) -> None:
    page.get_by_role("button", name="Predict").click()
    page.wait_for_function("() => document.getElementById('answer').innerText === 'B'")
    page.locator("#runs button", has_text="accepted").first.click()
    page.get_by_text("Report of the run").click()
    page.frame_locator("#report iframe").get_by_role("heading", name="Accepted").wait_for()


def test_unknown_pages_and_runs_are_errors(console: Console) -> None:
    assert asked(console, "GET", "/nothing")[0] == 404
    status, answer = asked(console, "GET", "/logs?run=none-such&state=Train")
    assert (status, answer["error"]) == (502, "no run's name begins with none-such: `ops runs` lists them")


def test_no_other_page_can_use_it(console: Console) -> None:
    row = json.dumps({"row": "1"})
    assert asked(console, "POST", "/predict", row, Content_Type="text/plain")[0] == 400
    assert asked(console, "GET", "/definitions", Host="example.org")[0] == 403
    status, answer = asked(console, "POST", "/predict", row, Content_Type="application/json")
    assert status == 502
    assert answer["error"].startswith("400")
