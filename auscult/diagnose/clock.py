"""Time that may be spent."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """When to stop, in seconds of ``time.monotonic``."""

    deadline: float

    @classmethod
    def lasting(cls, seconds: float) -> Clock:
        """From now on."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    def share(self, of: float) -> Clock:
        """A part of what is left."""
        return Clock.lasting(of * max(self.left, 0.0))
