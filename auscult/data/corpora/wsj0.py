"""WSJ0 speech with CHiME3 backgrounds or QUT-NOISE: every utterance once, at a drawn SNR."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from auscult.bounds import NotNegative, Range
from auscult.data.corpora.base import SPLITS, Corpus, Item, Made
from auscult.data.corpora.library import File, Library, Span, Use, draw_part, named_uniquely, resampled
from auscult.data.corpora.mixing import mixed, spans_of
from auscult.degrade.base import uniform
from auscult.rng import Key

SPEECH = "wsj0"
FOLDERS: Mapping[str, str] = {"train": "si_tr_s", "valid": "si_dt_05", "test": "si_et_05"}
_RATE_HZ = 16_000


def utterances(library: Library) -> dict[str, dict[str, File]]:
    """WSJ0's utterances by split and name.

    Raises:
        DataError: a folder is missing or holds no wav files; files at another rate.
    """
    found: dict[str, dict[str, File]] = {}
    for split in SPLITS:
        names = [name for name in library.within(SPEECH, FOLDERS[split]) if name.lower().endswith((".wav", ".flac"))]
        sphere = library.matching(SPEECH, rf"(^|/){FOLDERS[split]}/.*\.wv1$")
        what = f"wav files in a folder {FOLDERS[split]}"
        if sphere and not names:
            what += f" (only {len(sphere)} .wv1 files: convert them to wav, with sph2pipe for example)"
        found[split] = named_uniquely(library.files(SPEECH, library.wanted(SPEECH, names, what), _RATE_HZ))
    return found


def speaker_of(file: File) -> str:
    """WSJ0's names begin with the speaker: 01to030v is 01t's."""
    return file.stem[:3].lower()


class Wsj0Mixtures(Corpus):
    """What the two mixtures share: speech, draws and mixing; a subclass says which noise there is."""

    snr_db: Range
    trim_s: NotNegative
    rate_hz = _RATE_HZ

    @abstractmethod
    def noises(self, library: Library) -> dict[str, list[File]]:
        """Noise recordings by type."""

    def plan(self, library: Library, key: Key) -> list[Item]:
        speech = utterances(library)
        spans = spans_of(self.noises(library), key.child("noise"), self.trim_s)
        return [
            self._item(split, name, speech[split][name], spans[split], key.child(split, name))
            for split in SPLITS
            for name in sorted(speech[split])
        ]

    def _item(self, split: str, name: str, file: File, spans: Sequence[tuple[str, Span]], key: Key) -> Item:
        rng = key.numpy()
        snr_db = uniform(rng, self.snr_db)
        kind, span = spans[int(rng.integers(len(spans)))]
        part = draw_part(rng, span, file.samples, self.rate_hz)
        drawn = {
            "speaker": speaker_of(file),
            "noise_type": kind,
            "snr_db": snr_db,
            "noise": part.path,
            "noise_start_s": round(part.start / span.file.rate_hz, 6),
            **resampled("noise", span.file, self.rate_hz),
        }
        return Item(split, name, (Use(file.source, file.path), part), drawn, file.samples)

    def make(self, item: Item, library: Library) -> Made:
        clean = library.mono(item.uses[0], self.rate_hz)
        noise = library.noise(item.uses[1], clean.shape[1], self.rate_hz)
        return Made(clean, mixed(clean, noise, item.drawn["snr_db"], self.rate_hz))


@dataclass(frozen=True)
class Wsj0Chime3(Wsj0Mixtures):
    """WSJ0 with the backgrounds of CHiME3 (channel 1), SNR drawn from ``snr_db``."""

    snr_db: Range = (0.0, 20.0)
    trim_s: NotNegative = 0.0

    title = "WSJ0-CHiME3, 16 kHz"
    sources: ClassVar[Mapping[str, str]] = {
        SPEECH: "WSJ0 as wav, with si_tr_s, si_dt_05 and si_et_05",
        "chime3": "CHiME3, with its backgrounds (BGD_*.CH1.wav)",
    }
    differences: ClassVar[tuple[str, ...]] = (
        "noise recordings of each environment are dealt out to the splits; the script uses those of train everywhere",
        "draws are keyed by the utterance's name and lists are sorted; the script's depend on the file system",
        "a mixture over full scale is turned down with its clean side; the script clips it",
    )

    def noises(self, library: Library) -> dict[str, list[File]]:
        names = library.matching("chime3", r"CH1\.wav$")
        inside = [name for name in names if "backgrounds/" in name.lower()] or names
        files = library.files("chime3", library.wanted("chime3", inside, "backgrounds ending in CH1.wav"), self.rate_hz)
        kinds: dict[str, list[File]] = defaultdict(list)
        for file in files:
            found = re.search(r"_(BUS|CAF|PED|STR)\b", file.stem.upper())
            kinds[found[1].lower() if found else "background"].append(file)
        return kinds


@dataclass(frozen=True)
class Wsj0Qut(Wsj0Mixtures):
    """WSJ0 with four recordings of QUT-NOISE, resampled to 16 kHz; ``trim_s`` is left out at both their ends."""

    snr_db: Range = (0.0, 15.0)
    trim_s: NotNegative = 120.0

    title = "WSJ0-QUT, 16 kHz"
    sources: ClassVar[Mapping[str, str]] = {
        SPEECH: "WSJ0 as wav, with si_tr_s, si_dt_05 and si_et_05",
        "qut": "QUT-NOISE, with CAFE-CAFE-1, CAR-WINDOWNB-1, HOME-KITCHEN-1 and STREET-CITY-1",
    }
    differences: ClassVar[tuple[str, ...]] = (
        "each recording is divided in time between the splits, 80 : 10 : 10; the script uses all of it everywhere",
        "draws are keyed by the utterance's name; two channels become their mean; noise is resampled by soxr VHQ",
        "a mixture over full scale is turned down with its clean side; the script clips it",
    )

    def noises(self, library: Library) -> dict[str, list[File]]:
        wanted = {"cafe": "CAFE-CAFE-1", "car": "CAR-WINDOWNB-1", "home": "HOME-KITCHEN-1", "street": "STREET-CITY-1"}
        return {
            kind: library.files(
                "qut", library.wanted("qut", library.matching("qut", rf"(^|/){name}\.wav$"), f"{name}.wav")
            )
            for kind, name in wanted.items()
        }
