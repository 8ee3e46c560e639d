"""Fixtures: the bundled example everywhere, the development recordings where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests import checked

checked.install()

from auscult.audio.clip import Clip, read
from tests.processes import Run

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("AUSCULT_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of development recordings."""
    if not (DATA / "train.jsonl").is_file():
        pytest.skip("the development recordings are not at hand (set AUSCULT_DATA)")
    return DATA


@pytest.fixture(scope="session")
def noisy() -> Clip:
    """Synthesised speech in noise, 16 kHz mono, 11 s."""
    return read(EXAMPLES / "noisy" / "walk.flac")


@pytest.fixture(scope="session")
def clean() -> Clip:
    """The clean side of :func:`noisy`."""
    return read(EXAMPLES / "clean" / "walk.flac")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, clean: Clip) -> Path:
    """A small corpus cut from the example: speech/, noise/, pairs/clean, pairs/noisy and a manifest."""
    return make_corpus(tmp_path_factory.mktemp("corpus"), clean)


def make_corpus(root: Path, clean: Clip) -> Path:
    import json

    from auscult.audio.writer import write

    rng = np.random.default_rng(3)
    rows = []
    for i in range(6):
        speech = clean.wave[:, 8_000 + i * 24_000 :][:, : 24_000 + 2_000 * i]
        noise = rng.standard_normal((1, 20_000 + 3_000 * i)).astype(np.float32) * 0.02
        noise = np.cumsum(noise, axis=1) * 0.05 + noise
        pairs = {"speech": speech, "noise": noise}
        for kind, wave in pairs.items():
            path = root / kind / f"{kind}{i}.wav"
            write(path, Clip(wave.astype(np.float32), 16_000))
            rows.append({"path": f"{kind}/{kind}{i}.wav", "kind": kind, "speaker": f"s{i % 3}", "rate_hz": 16_000,
                         "duration_s": round(wave.shape[1] / 16_000, 3)})  # fmt: skip
        mixed = speech + np.resize(noise, speech.shape)
        write(root / "pairs" / "clean" / f"p{i}.wav", Clip(speech, 16_000))
        write(root / "pairs" / "noisy" / f"p{i}.wav", Clip(mixed.astype(np.float32), 16_000))
    response = rng.standard_normal((1, 4_000)).astype(np.float32) * np.exp(-np.arange(4_000) / 800).astype(np.float32)
    response[0, 100] = 4.0
    write(root / "room" / "room0.wav", Clip(response / 5, 16_000))
    rows.append({"path": "room/room0.wav", "kind": "room", "t60_s": 0.35, "rate_hz": 16_000, "duration_s": 0.25})
    (root / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def auscult(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process: exit code, output, errors."""

    from auscult.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["auscult", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), captured.out, captured.err

    return run
