"""A page in a real browser: its faults, and how it looks at two widths, light and dark."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import ROOT

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "screenshots"
needed = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: `apt-get install chromium`, or Google Chrome")


@dataclass
class Seen:
    """What was found wrong: errors of scripts, requests to elsewhere, axe's serious faults, a page wider than its window."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    too_wide: list[int] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.errors or self.requests or self.faults or self.too_wide)


def look(url: str, name: str, do: Callable[[Page], Any] = lambda page: None) -> Seen:
    """Open the page at 1280 and 390 pixels, light and dark, `do` something with it, and take pictures."""
    seen = Seen()
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, headless=True, args=FLAGS)
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                page.on("pageerror", lambda error: seen.errors.append(str(error)))
                page.on("request", lambda asked: seen.requests.append(asked.url) if not _ours(asked.url, url) else None)
                page.goto(url)
                do(page)
                page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    seen.too_wide.append(width)
                seen.faults += _faults(page)
                context.close()
        browser.close()
    return seen


def _ours(asked: str, page: str) -> bool:
    origin = page if page.startswith("file:") else "/".join(page.split("/")[:3])
    return asked.startswith((origin, "data:", "blob:"))


def _faults(page: Page) -> list[str]:
    page.evaluate(Path(AXE).read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['html']}" for rule in found if rule["impact"] in ("serious", "critical")]
