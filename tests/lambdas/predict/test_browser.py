"""The page at /docs in a real browser without a network: it loads, posts the example row and shows the label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.lambdas.predict.signed import Consumer
from tests.ops.browser import FLAGS, PROGRAM, SHOTS, needed

pytestmark = [pytest.mark.cloud, needed]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A tab of a fresh profile in the size of a laptop's screen."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=PROGRAM, headless=True, args=FLAGS, viewport={"width": 1280, "height": 900}
        )
        yield context.pages[0]
        context.close()


def send(page: Page) -> tuple[str, str]:
    """Press Send and return the status and the answer that the page shows."""
    page.get_by_role("button", name="Send").click()
    page.locator("#status", has_text=re.compile(r"\d")).wait_for()
    return page.locator("#status").inner_text(), page.locator("#answer").inner_text()


def test_the_page_posts_the_example_row_and_shows_its_label(consumer: Consumer, page: Page) -> None:
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    page.goto(f"{consumer.url}/docs")
    page.get_by_text("Credentials: they stay in this page").click()
    shown = [label.inner_text().strip() for label in page.locator("#signed label:visible").all()]
    assert shown == ["Access key id", "Secret access key", "Session token, of temporary credentials", "Region"]
    page.get_by_label("Access key id").fill("test")
    page.get_by_label("Secret access key").fill("test")
    status, answer = send(page)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "docs.png", full_page=True)
    assert (status.startswith("200 "), answer, failed) == (True, '"B"', [])
    assert {url.startswith(consumer.url) for url in asked} == {True}


def test_the_browser_reaches_nothing_else(page: Page) -> None:
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://example.com")


def test_a_refusal_is_shown_with_what_to_do(consumer: Consumer, page: Page) -> None:
    page.goto(f"{consumer.url}/docs")
    page.get_by_label("Body").fill('{"data": "1,2"}')
    status, answer = send(page)
    assert (status.startswith("401"), "Authorise the call" in answer) == (True, True)
