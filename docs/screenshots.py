"""The pictures of these pages, taken from real pages in headless Chromium.

python docs/screenshots.py --report evaluation/report.html --listen listen.html --runs report.html
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
FLAGS += " --autoplay-policy=no-user-gesture-required"


def shoot(
    browser: Browser,
    page: Path,
    name: str,
    width: int,
    height: int,
    scheme: str,
    at: str = "body",
    before: Callable[[Page], None] | None = None,
) -> None:
    """One picture: ``height`` pixels of the page from the element ``at`` on."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    if before is not None:
        before(tab)
    tab.evaluate("at => document.querySelector(at).scrollIntoView()", at)
    tab.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB").quantize(256)
    IMAGES.mkdir(exist_ok=True)
    picture.save(IMAGES / f"{name}.png", optimize=True)
    context.close()


def begin(tab: Page) -> None:
    """Start a listening test, hear every version, rate one."""
    tab.fill("#listener", "listener 1")
    tab.click("#sample")
    tab.wait_for_timeout(1_000)
    tab.click("#start")
    for key in "r1234":
        tab.keyboard.press(key)
        tab.wait_for_timeout(700)
    for key in ["2", *["Shift+ArrowRight"] * 3]:
        tab.keyboard.press(key)


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--listen", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        shoot(browser, arguments.report, "report", 1180, 1250, "light")
        shoot(browser, arguments.report, "report-listen", 1180, 1300, "dark", "#listen")
        shoot(browser, arguments.report, "report-phone", 390, 844, "light")
        shoot(browser, arguments.listen, "listen", 900, 700, "light", before=begin)
        shoot(browser, arguments.runs, "runs", 1180, 1250, "light")
        browser.close()


if __name__ == "__main__":
    main()
