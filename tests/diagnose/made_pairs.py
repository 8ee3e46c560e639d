"""Folders of pairs, healthy or with one thing wrong, cut from the bundled example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy import ndarray

from auscult.diagnose.case import Case, Given
from auscult.diagnose.check import Check
from auscult.diagnose.clock import Clock
from auscult.diagnose.finding import Finding

RATE = 16_000
Pair = tuple[ndarray, ndarray]


def made(speech: ndarray, snr_db: tuple[float, float] = (-5.0, 15.0), count: int = 10, seed: int = 0) -> list[Pair]:
    """Stretches of 2.5 s with coloured noise of their own, at one gain for both sides."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(count):
        clean = speech[i * 13_000 + 4_000 :][:40_000]
        white = rng.standard_normal(clean.size + 8)
        noise = np.convolve(white, rng.uniform(-1, 1, 9), mode="valid")
        snr = rng.uniform(*snr_db)
        noisy = clean + noise / noise.std() * clean.std() * 10 ** (-snr / 20)
        gain = rng.uniform(0.3, 0.9) / np.abs(noisy).max()
        pairs.append(((gain * clean).astype(np.float32), (gain * noisy).astype(np.float32)))
    return pairs


def changed(pairs: Sequence[Pair], change: Callable[[ndarray, ndarray, int], tuple[ndarray, ndarray]]) -> list[Pair]:
    """Each pair, changed."""
    return [change(clean, noisy, i) for i, (clean, noisy) in enumerate(pairs)]


def folder(root: Path, pairs: Sequence[Pair], rate_hz: int = RATE) -> Path:
    """``clean`` and ``noisy`` with float files."""
    for i, sides in enumerate(pairs):
        for side, wave in zip(("clean", "noisy"), sides, strict=True):
            (root / side).mkdir(parents=True, exist_ok=True)
            soundfile.write(root / side / f"u{i:03}.wav", wave.T, rate_hz, subtype="FLOAT")
    return root


def case_of(given: Given) -> Case:
    """With a minute."""
    return Case(given, Clock.lasting(60))


def asked(check: Check, path: Path, **given: object) -> list[Finding]:
    """What a check finds in a folder."""
    answer = check.run(case_of(Given(data={"data": path}, **given)))  # type: ignore[arg-type]
    return [answer] if isinstance(answer, Finding) else list(answer or ())


def alarms(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Verdict and first cause of what is not in order."""
    return [(one.verdict, one.causes[0]) for one in findings if one.verdict in ("fault", "suspect")]
