"""Size of a report page and the time it takes to open: 824 items, three systems, three metrics, drawn at random.

    python benchmarks/report.py

The page has no audio (its size is that of the recordings) but the plots of every highlighted item, drawn from the
bundled recording. Chromium opens it cold, each time in a new process, by Playwright.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from playwright.sync_api import sync_playwright

from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row
from auscult.evaluate.summary import summarise
from auscult.report.evaluation import write_report

EXAMPLES = Path(__file__).parents[1] / "examples"
CHROMIUM = "/usr/bin/chromium"
NOISES = ("bus", "cafe", "living", "office", "psquare")
METRICS = {"pesq": ("MOS-LQO", 1.97, 0.5), "estoi": ("", 0.79, 0.03), "si_sdr": ("dB", 8.4, 8.0)}
"""Unit, mean of the noisy input and gain of a system."""


def drawn(items: int, systems: int) -> Evaluation:
    """Normal scores around those of the noisy test set of VoiceBank-DEMAND."""
    rng = np.random.default_rng(5)
    clean, noisy = (EXAMPLES / side / "walk.flac" for side in ("clean", "noisy"))
    snrs = rng.choice([2.5, 7.5, 12.5, 17.5], items)
    made = [
        Item("drawn", f"p{232 + i % 2 * 25}_{i:03d}", clean, noisy, facts(i, float(snr))) for i, snr in enumerate(snrs)
    ]
    names = ["noisy", *(f"system-{k}" for k in range(1, systems))]
    rows = []
    for k, name in enumerate(names):
        for item, snr in zip(made, snrs, strict=True):
            scores = {m: mean * (snr + 10) / 20 + gain * (k + rng.normal()) for m, (_, mean, gain) in METRICS.items()}
            rows.append(Row("drawn", name, item.name, scores, estimate=noisy if k == 0 else clean))
    metrics = [MetricFacts(m, unit, True, "drawn", "0", None) for m, (unit, _, _) in METRICS.items()]
    return Evaluation(tuple(made), tuple(rows), tuple(metrics), {name: {} for name in names}, {}, "0" * 16)


def facts(i: int, snr_db: float) -> dict[str, str | float]:
    return {"snr_db": snr_db, "noise_type": NOISES[i % 5], "speaker": f"p{232 + i % 2 * 25}", "duration_s": 2.0 + i % 7}


def opened(path: Path) -> tuple[float, float]:
    """Seconds to DOMContentLoaded and until charts and table are drawn."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        loaded = time.perf_counter() - started
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.locator("#table tbody tr").count() == 100
        ready = time.perf_counter() - started
        browser.close()
    return loaded, ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=824)
    parser.add_argument("--systems", type=int, default=3)
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    evaluation = drawn(args.items, args.systems)
    summary = summarise(evaluation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        started = time.perf_counter()
        write_report(path, evaluation, summary, audio="none")
        print(f"written in {time.perf_counter() - started:.1f} s, {path.stat().st_size / 1e6:.2f} MB")
        times = [opened(path) for _ in range(args.times)]
    loaded, ready = zip(*times, strict=True)
    print(f"DOMContentLoaded {median(loaded):.2f} s (worst {max(loaded):.2f}), of {args.times}")
    print(f"charts and table drawn {median(ready):.2f} s (worst {max(ready):.2f})")


if __name__ == "__main__":
    main()
