"""Conversions between units, and quantities as people read them. Plain floats; arrays pass through numpy."""

import math

TINY = 1e-20
"""Power floor of logarithms: -200 dB."""


def to_db(power: float) -> float:
    """Power ratio to decibels, floored at -200 dB."""
    return 10.0 * math.log10(max(power, TINY))


def amplitude(db: float) -> float:
    """Decibels to amplitude ratio."""
    return 10.0 ** (db / 20.0)


def samples(duration_s: float, rate_hz: int) -> int:
    """Duration to whole samples, rounded to nearest."""
    return round(duration_s * rate_hz)


def duration(seconds: float) -> str:
    """``0.45 s``, ``12.3 s``, ``4 min 05 s``, ``3 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int) -> str:
    """``842``, ``23.7 k``, ``65.6 M``."""
    if number < 1_000:
        return str(number)
    return f"{number / 1e3:.1f} k" if number < 1_000_000 else f"{number / 1e6:.1f} M"
