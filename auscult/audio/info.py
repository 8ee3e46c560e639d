"""What a file's header says, and which suffixes are audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")
"""Read by libsndfile."""
FOREIGN_SUFFIXES = (".m4a", ".mp4", ".aac", ".webm", ".mkv", ".amr", ".wma", ".mov", ".3gp")
"""Read by PyAV."""


@dataclass(frozen=True)
class Info:
    """What a file's header says."""

    path: Path
    rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        return self.samples / self.rate_hz
