"""A page in a real browser: its faults, and pictures of it, wide and light, narrow and dark."""

import atexit
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, sync_playwright

from tests.conftest import ROOT

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "screenshots"
needed = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: `apt-get install chromium`, or Google Chrome")

LAPTOP: ViewportSize = {"width": 1280, "height": 900}


WINDOWS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1280, "light"), (390, "dark"))
"""The widths in pixels and the colour schemes in which pages are looked at."""


@cache
def _playwright() -> Playwright:
    """The one of this process, which ends with it."""
    started = sync_playwright().start()
    atexit.register(started.stop)
    return started


def launch(flags: list[str]) -> Browser:
    """A browser of its own."""
    return _playwright().chromium.launch(executable_path=PROGRAM, headless=True, args=flags)


@cache
def _browser() -> Browser:
    """The browser that tests share: to start one takes a second."""
    return launch(FLAGS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; the pages that are opened meanwhile share nothing, and are closed."""
    browser = _browser()
    before = browser.contexts
    yield browser
    for context in browser.contexts:
        if context not in before:
            context.close()


def faults_of(url: str, name: str, do: Callable[[Page], Any] = lambda page: None) -> list[str]:
    """Open the page at 1280 pixels and light, and at 390 and dark, `do` something with it, and take pictures.

    Faults are errors of scripts, requests to other origins, axe's serious faults, and a page wider than its window.
    """
    found: list[str] = []
    origin = url if url.startswith("file:") else "/".join(url.split("/")[:3])

    def sent(address: str) -> None:
        if not address.startswith((origin, "data:", "blob:")):
            found.append(f"request to {address}")

    SHOTS.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for width, scheme in WINDOWS:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("pageerror", lambda error: found.append(str(error)))
            page.on("request", lambda request: sent(request.url))
            page.goto(url)
            do(page)
            page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"wider than {width} pixels")
            page.evaluate(AXE.read_text())
            for rule in page.evaluate("axe.run()")["violations"]:
                if rule["impact"] in ("serious", "critical"):
                    found.append(f"{rule['id']}: {rule['nodes'][0]['html']}")
            page.close()
    return found
