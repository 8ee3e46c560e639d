"""Restored files beside a checkpoint that has averaged weights: which of the two made them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from auscult.audio.clip import probe, read
from auscult.diagnose.check import Check
from auscult.diagnose.evidence import Absent
from auscult.diagnose.finding import Finding, Measured

if TYPE_CHECKING:
    from auscult.diagnose.case import Case
    from auscult.diagnose.evidence import OutputItem

ITEMS, MOST, LONGEST_S = 3, 200, 12.0
SAME_DB, APART_DB = 25.0, 6.0
"""SNR to a file from which on weights made it (16 bits and other chunks leave 30 and more), and how much nearer."""


def check_raw_weights(case: Case) -> Finding | None:
    """Whether files were restored by the averaged weights, as they should be, or by the raw ones.

    Raises:
        Absent: no short file with its noisy one was given.
    """
    if case.model.raw is None or case.model.method.conditions or case.model.method.extension:
        return None
    items = _short(case.outputs.items)
    if not items:
        raise Absent(f"no restored file of at most {LONGEST_S:g} s with its noisy one (--outputs, --data)")
    rows = list(_compared(case, items))
    if not rows:
        return None
    averaged, raw = (float(value) for value in np.mean(rows, axis=0))
    measured = [
        Measured("SNR of the files to what the averaged weights restore", averaged, "dB", f"above {SAME_DB:g}"),
        Measured("to what the raw weights restore", raw, "dB", "below that"),
    ]
    says = f"the files agree with what the raw weights restore to {raw:.0f} dB, with the averaged to {averaged:.0f} dB"
    if raw > SAME_DB and raw > averaged + APART_DB:
        return Finding("raw-weights", "fault", ("ema-absent",), f"{says}: results are those of raw weights", measured)
    if averaged > SAME_DB and averaged > raw + APART_DB:
        return Finding("raw-weights", "healthy", ("ema-absent",), says, measured)
    return Finding("raw-weights", "cannot tell", ("ema-absent",), says, measured)


def _short(items: Sequence[OutputItem]) -> list[OutputItem]:
    """The shortest files whose noisy one is known."""
    lengths = {item.name: probe(item.enhanced).duration_s for item in items[:MOST] if item.noisy is not None}
    short = [item for item in items[:MOST] if lengths.get(item.name, LONGEST_S + 1) <= LONGEST_S]
    return sorted(short, key=lambda item: lengths[item.name])[:ITEMS]


def _compared(case: Case, items: Sequence[OutputItem]) -> Iterator[tuple[float, float]]:
    """SNR of each file to what the averaged and the raw weights make of its noisy one, with the seed of the engine."""
    from auscult.restore.engine import Restorer
    from auscult.restore.models import model_of, pick_device

    model, device = case.model, pick_device(case.given.device)
    assert model.raw is not None, "asked only where there are raw weights"
    both = [Restorer(model_of("", model.method, nets, device)) for nets in (model.nets, model.raw)]
    for item in items:
        if case.clock.left <= 0 or item.noisy is None:
            return
        noisy, made = read(item.noisy), read(item.enhanced).wave[0]
        averaged, raw = (_snr_db(made, one.enhance(noisy.wave, noisy.rate_hz)[0]) for one in both)
        yield averaged, raw


def _snr_db(made: ndarray, restored: ndarray) -> float:
    """Of two signals of any level; one may be longer by an end."""
    length = min(made.size, restored.size)
    one, other = (side[:length].astype(np.float64) for side in (made, restored))
    gain = float(one @ other) / max(float(other @ other), 1e-20)
    left = float(np.square(one - gain * other).sum())
    return float(10 * np.log10(max(float(one @ one), 1e-20) / max(left, 1e-20)))


RAW_WEIGHTS = Check(
    "raw-weights", "averaging", "Were files restored by the averaged weights?", ("outputs", "model"), 10.0,
    f"fault: {ITEMS} short files agree with what the raw weights restore to {SAME_DB:g} dB, and {APART_DB:g} dB better "
    "than with what the averaged ones do (with the default seed, where the method draws)",
    "Definition: both restore the same files again; Song et al. 2021 on averaged weights", check_raw_weights,
)  # fmt: skip
