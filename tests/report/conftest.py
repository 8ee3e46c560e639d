"""A headless browser for pages: what they log, throw or ask the outside for is collected, and must be nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
INSIDE = ("file:", "data:", "blob:", "about:")

_problems: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()


def problems(page: Any) -> list[str]:
    """Console errors and warnings, uncaught errors, and requests to the outside of a page so far."""
    return _problems[page]


def watch(page: Any) -> Any:
    """Collect what goes wrong in a page from now on; see :func:`problems`."""
    found: list[str] = []
    _problems[page] = found

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            found.append(f"console {message.type}: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith(INSIDE):
            found.append(f"outside request: {request.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    page.on("request", asked)
    return page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium under Playwright; skips where one of them is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} does not exist")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(path, **context)``: a page of a fresh browser context, opened by its file:// address.

    ``context`` goes to ``Browser.new_context``: ``viewport={"width": 390, "height": 844}``, ``color_scheme="dark"``.
    """
    contexts = []

    def opened(path: Path, **context: Any) -> Any:
        contexts.append(browser.new_context(**context))
        page = watch(contexts[-1].new_page())
        page.set_default_timeout(20_000)
        page.goto(Path(path).resolve().as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def luminance(colour: str) -> float:
    """How light a CSS colour is."""
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3])
