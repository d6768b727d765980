"""A page in Debian's headless Chromium that talks to this machine alone; console errors fail the test that uses it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HERE = "127.0.0.1"


@dataclass
class Watch:
    """What a page says and asks for.

    Attributes:
        allowed: exact names of hosts outside that the page may ask; they are answered with nothing.
        expected: patterns of console errors that belong to the test.
        errors: console errors and uncaught exceptions, other than those expected.
        refused: addresses outside that the page asked for and is not allowed to.
    """

    allowed: set[str] = field(default_factory=set)
    expected: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def hear(self, text: Any) -> None:
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.errors.append(text)

    def decide(self, route: Any) -> None:
        """Let a request through to this machine, answer it with nothing, or refuse it."""
        address = urlsplit(route.request.url)
        if address.scheme in ("data", "blob") or address.hostname == HERE:
            route.continue_()
        elif address.hostname in self.allowed:
            route.fulfill(status=200, headers={"access-control-allow-origin": "*"}, body="")
        else:
            self.refused.append(route.request.url)
            route.abort()

    def attach(self, context: Any) -> None:
        """Watch every page of a browser context."""
        context.route("**/*", self.decide)
        context.on(
            "console", lambda said: self.hear(f"{said.text} ({said.location['url']})") if said.type == "error" else None
        )
        context.on("weberror", lambda raised: self.hear(str(raised.error)))

    def check(self) -> None:
        assert not self.refused, f"the page asked the outside: {self.refused}"
        assert not self.errors, f"the page's console has errors: {self.errors}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, once for the tests of a module: while Playwright is there, `asyncio.run` fails in this thread."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make dev")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def watch() -> "Watch":
    """What the test's page says and asks for; name hosts in `allowed` and errors in `expected` before they come."""
    return Watch()


@pytest.fixture
def page(browser: Any, watch: Any) -> Iterator[Any]:
    """An empty page; the test fails when it had console errors or asked anything of the outside."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, service_workers="block")
    watch.attach(context)
    try:
        opened = context.new_page()
        yield opened
        opened.evaluate("0")  # whatever the page said before this answer has arrived with it
        watch.check()
    finally:
        context.close()
