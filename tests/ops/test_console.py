"""The console in a real browser, over a live pipeline: what it shows, and that it shows it as it happens."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import requests
from playwright.sync_api import Page

from ops.account import OpsError
from ops.console.server import Console
from tests.conftest import ROOT, Deployed
from tests.ops.browser import LAPTOP, chromium, faults_of, needed
from tests.ops.typing import ROWS, ran

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
    with chromium() as browser:
        tab = browser.new_page(viewport=LAPTOP)
        tab.goto(console.url)
        tab.wait_for_selector("#runs button")
        yield tab


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
    page.evaluate(WATCH)
    run = ran(live, "seen.csv", *ROWS[1:], ROWS[0])
    assert run.outcome == "accepted", run
    page.wait_for_function("() => document.querySelector('[data-state=Finish]').dataset.how === 'done'")
    turned = [tuple(each) for each in page.evaluate("window.turned")]
    assert [state for state, how in turned if how == "done" and state in JOBS] == JOBS
    # A job of 0.2 s may end between two snapshots; those that were seen running were done after it.
    seen = [state for state, how in turned if how == "running" and state in JOBS]
    assert seen, turned
    assert all(turned.index((state, "running")) < turned.index((state, "done")) for state in seen)


@needed
def test_a_failed_run_shows_its_cause_without_a_click(live: Deployed, page: Page) -> None:
    ran(live, "wrong.csv", "x")
    page.wait_for_function("() => document.getElementById('cause').innerText.includes('wrong.csv, row 2')")
    assert page.locator("#failure").is_visible()
    assert page.locator("[data-state=Preprocess]").get_attribute("aria-label") == "Preprocess, failed"
    page.locator("[data-state=Preprocess]").click()
    page.locator("#log", has_text="wrong.csv, row 2").wait_for()


@needed
def test_a_row_is_answered_and_the_report_is_inside(live: Deployed, page: Page) -> None:
    page.get_by_role("button", name="Predict").click()
    page.wait_for_function("() => document.getElementById('answer').innerText === 'B'")
    page.locator("#runs button", has_text="accepted").first.click()
    page.get_by_text("Report of the run").click()
    page.frame_locator("#report iframe").get_by_role("heading", name="Accepted").wait_for()


@pytest.fixture
def own(live: Deployed) -> Iterator[tuple[psutil.Process, str]]:
    """A console in a process of its own, and its address."""
    command = ["python", "-m", "ops", "console", "--port", "0"]
    with subprocess.Popen(command, env=live.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        (url,) = re.findall(r"console: (\S+)", process.stdout.readline())
        yield psutil.Process(process.pid), url
        process.terminate()


def test_while_nothing_happens_three_open_pages_get_nothing_and_take_less_than_a_hundredth_of_a_core(
    live: Deployed, own: tuple[psutil.Process, str]
) -> None:
    process, url = own
    pages = [requests.get(f"{url}events", stream=True, timeout=60).iter_lines(1) for _ in range(3)]
    for page in pages:
        assert next(page).startswith(b"data: {")

    def quiet(turns: int) -> list[bytes]:
        return [line for _ in range(2 * turns) for page in pages if (line := next(page)) not in (b"", b": ")]

    assert quiet(3) == []  # what is read once, is
    used, began = sum(process.cpu_times()[:2]), time.monotonic()
    assert quiet(10) == []
    share = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
    print(f"{share:.2%} of a core")
    assert share < 0.01
    live.account.states.start_execution(
        stateMachineArn=live.account.outputs["DriftMachine"], name=f"pushed-{time.time_ns()}"
    )
    for page in pages:
        assert next(line for line in page if line not in (b"", b": ")).startswith(b"data: {")


def test_unknown_pages_and_runs_are_errors(console: Console) -> None:
    assert requests.get(f"{console.url}nothing", timeout=30).status_code == 404
    answer = requests.get(f"{console.url}logs?run=none-such&state=Train", timeout=30)
    error = "no run's name begins with none-such: `ops runs` lists them"
    assert (answer.status_code, answer.json()["error"]) == (502, error)


@pytest.mark.drill("web", "a page of a foreign origin asks the console", "refused")
def test_no_other_page_can_use_it(console: Console) -> None:
    predict, other = f"{console.url}predict", {"Host": "example.org"}
    assert requests.post(predict, '{"row": "1"}', headers={"Content-Type": "text/plain"}, timeout=30).status_code == 400
    assert requests.get(f"{console.url}definitions", headers=other, timeout=30).status_code == 403
    answer = requests.post(predict, json={"row": "1"}, timeout=30)
    assert answer.status_code == 502
    assert answer.json()["error"].startswith("400")
    given = {**requests.get(f"{console.url}example", timeout=30).json(), "signature": "of another model"}
    answer = requests.post(predict, json=given, timeout=30)
    assert answer.json()["error"].startswith("409")


@pytest.mark.drill("start", "another process has the console's port", "one line that names it")
def test_a_taken_port_is_named(console: Console) -> None:
    with pytest.raises(OpsError, match=f"port {console.server_port} on 127.0.0.1 is taken: choose another --port"):
        Console(console.account, console.server_port)
