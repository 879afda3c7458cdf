"""A page in a real browser: its faults, and pictures of it at two widths, light and dark."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

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


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, headless=True, args=FLAGS)
        yield browser
        browser.close()


def faults_of(url: str, name: str, do: Callable[[Page], Any] = lambda page: None) -> list[str]:
    """Open the page at 1280 and 390 pixels, light and dark, `do` something with it, and take pictures.

    Faults are errors of scripts, requests to other origins, axe's serious faults, and a page wider than its window.
    """
    found: list[str] = []
    origin = url if url.startswith("file:") else "/".join(url.split("/")[:3])

    def sent(address: str) -> None:
        if not address.startswith((origin, "data:", "blob:")):
            found.append(f"request to {address}")

    SHOTS.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for width in (1280, 390):
            for scheme in ("light", "dark"):
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
