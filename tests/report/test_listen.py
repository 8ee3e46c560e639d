"""The page of a listening test: matched, blinded, and driven in a browser from the first screen to the analysis."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from auscult.audio.clip import Clip, read
from auscult.audio.writer import write as write_audio
from auscult.cli import app
from auscult.errors import AuscultError, DataError
from auscult.evaluate.abx import analyse_abx
from auscult.evaluate.answers import read_results
from auscult.evaluate.listening import analyse
from auscult.report.listen import (
    CEILING_DB,
    Request,
    build,
    items_of,
    kind_for,
    unveil,
    veil,
    write,
)
from auscult.report.stimuli import Sounds, anchor, excerpt, loudness_lufs
from tests.conftest import EXAMPLES
from tests.report.conftest import problems

pytest.importorskip("pyloudnorm")
pytest.importorskip("jinja2")

RATE_HZ = 16_000
PHONE = {"width": 390, "height": 844}


def decoded(uri: str) -> tuple[np.ndarray, int]:
    assert uri.startswith("data:audio/flac;base64,")
    wave, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])), always_2d=True)
    return wave.T, rate_hz


def tone(path: Path, hz: float, seconds: float = 0.6, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    wave = 0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    write_audio(path, Clip(np.tile(wave, (channels, 1)).astype(np.float32), rate_hz))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, clean: Clip) -> Path:
    """Three items of 0.6 s of speech: reference, and two systems of different noise and level."""
    root = tmp_path_factory.mktemp("listen")
    rng = np.random.default_rng(0)
    for i in range(3):
        speech = clean.wave[:, 12_000 + 20_000 * i :][:, :9_600]
        noise = rng.standard_normal(speech.shape).astype(np.float32)
        for name, wave in {
            "clean": speech,
            "alphasys": 0.5 * (speech + 0.003 * noise),
            "betasys": 1.4 * (speech + 0.03 * noise),
        }.items():
            write_audio(root / name / f"item{i}.wav", Clip(wave.astype(np.float32), RATE_HZ), on_clip="limit")
    return root


def request(folders: Path, **changes: Any) -> Request:
    systems = {"alphasys": folders / "alphasys", "betasys": folders / "betasys"}
    return Request(**{"systems": systems, "kind": "ab", **changes})


# --- level


@pytest.mark.parametrize("level", [-23.0, -30.0, "reference"])
def test_the_stimuli_of_an_item_are_equally_loud(folders: Path, level: Any) -> None:
    built = build(request(folders, kind="mushra", reference=folders / "clean", level=level))
    loudness: dict[str, list[float]] = {}
    for name, uri in built.page["audio"].items():
        loudness.setdefault(built.stimuli[name].item, []).append(loudness_lufs(*decoded(uri)))
    for item, values in loudness.items():
        wanted = loudness_lufs(*_wave(folders / "clean" / f"{item}.wav")) if level == "reference" else level
        assert values == pytest.approx([wanted + built.attenuation_db] * 4, abs=0.1)


def _wave(path: Path) -> tuple[np.ndarray, int]:
    clip = read(path)
    return clip.wave, clip.rate_hz


def test_real_recordings_are_matched(data: Path) -> None:
    root = data / "vbdmd_p257"
    built = build(Request({"a": root / "noisy", "b": root / "clean"}, items=4, seed=3))
    assert (len(built.items), built.available) == (4, 40)
    measured = [loudness_lufs(*decoded(uri)) for uri in built.page["audio"].values()]
    assert measured == pytest.approx([-23.0 + built.attenuation_db] * 8, abs=0.1)


def test_all_are_turned_down_together_where_one_would_clip(folders: Path) -> None:
    built = build(request(folders, level=-3.0))
    peaks = {name: np.abs(decoded(uri)[0]).max() for name, uri in built.page["audio"].items()}
    assert built.attenuation_db < 0
    assert 20 * np.log10(max(peaks.values())) == pytest.approx(CEILING_DB, abs=0.01)
    gained = {stimulus.gain_db + stimulus.level_db for stimulus in built.stimuli.values()}
    assert max(gained) - min(gained) < 1e-9


def test_what_bs1770_cannot_measure_is_matched_by_active_level(tmp_path: Path) -> None:
    quiet = tmp_path / "b.wav"
    write_audio(quiet, Clip(0.1 * read(tone(tmp_path / "a.wav", 300, 0.3)).wave, RATE_HZ))
    built = build(Request({"a": tmp_path / "a.wav", "b": quiet}))
    waves = [decoded(uri)[0] for uri in built.page["audio"].values()]
    assert np.abs(waves[0]).max() == pytest.approx(np.abs(waves[1]).max(), rel=0.01)
    assert "P.56" in built.notes[0]


def test_a_silent_stimulus_is_left_alone_and_named(tmp_path: Path) -> None:
    write_audio(tmp_path / "b.wav", Clip(np.zeros((1, 9_600), np.float32), RATE_HZ))
    built = build(Request({"a": tone(tmp_path / "a.wav", 300), "b": tmp_path / "b.wav"}))
    assert [stimulus.gain_db for stimulus in built.stimuli.values() if stimulus.system == "b"] == [0.0]
    assert any("b is silent" in note for note in built.notes)


def test_stereo_and_rate_are_kept(tmp_path: Path) -> None:
    for name in "ab":
        tone(tmp_path / f"{name}.wav", 500, rate_hz=44_100, channels=2)
    built = build(Request({"a": tmp_path / "a.wav", "b": tmp_path / "b.wav"}))
    shapes = {(wave.shape, rate_hz) for wave, rate_hz in map(decoded, built.page["audio"].values())}
    assert shapes == {((2, 26_460), 44_100)}


# --- excerpt and anchor


def test_the_excerpt_is_the_loudest_stretch_of_all_at_once() -> None:
    wave = np.full((1, 10_000), 0.01)
    wave[:, 6_000:7_000] = 1.0
    cut = excerpt(Sounds("x", 1_000, {"a": wave, "b": 2 * wave}), 1.0)
    assert cut.excerpt_s == (6.0, 7.0)
    assert [part.shape for part in cut.waves.values()] == [(1, 1_000)] * 2
    assert np.abs(cut.waves["a"][0, [0, -1]]).max() < 0.1  # faded where it was cut
    assert excerpt(Sounds("x", 1_000, {"a": wave}), 20.0).excerpt_s is None


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_the_anchor_is_a_low_pass_of_bs1534_without_delay(rate_hz: int) -> None:
    impulse = np.zeros((1, rate_hz))
    impulse[0, rate_hz // 2] = 1.0
    out = anchor(impulse, rate_hz)[0]
    assert out.shape == (rate_hz,)
    assert np.argmax(out) == rate_hz // 2
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(out)) + 1e-12)  # bins of 1 Hz
    assert np.abs(gain_db[:3_500]).max() < 0.1
    assert gain_db[4_000:].max() < -50


# --- blinding


def test_the_page_names_no_system_and_no_item_in_clear(folders: Path, tmp_path: Path) -> None:
    built = build(request(folders, kind="mushra", reference=folders / "clean"))
    size = write(tmp_path / "listen.html", built)
    text = (tmp_path / "listen.html").read_text()
    assert size == len(text.encode())
    shown = re.sub(r"data:audio/flac;base64,[A-Za-z0-9+/=]*", "", text)
    for name in ("alphasys", "betasys", "item0", str(folders)):
        assert name not in shown
    truth = json.loads(unveil(built.page["truth"], built.page["page"]))
    assert {known["system"] for known in truth["stimuli"].values()} == {"alphasys", "betasys", "reference", "anchor"}
    assert "http" not in re.sub(r"http://www.w3.org\S*", "", shown)


def test_names_are_drawn_and_the_same_request_gives_the_same_page(folders: Path) -> None:
    one, again, other = (build(request(folders, seed=seed)) for seed in (0, 0, 1))
    assert one.page == again.page
    assert one.page["page"] != other.page["page"]
    assert list(one.stimuli.values()) != list(other.stimuli.values())


def test_veil_is_undone() -> None:
    assert unveil(veil("Grüße", "abc"), "abc") == "Grüße"


# --- what is refused


@pytest.mark.parametrize(
    ("asked", "systems", "reference", "words"),
    [
        ("abx", 3, False, "exactly two"),
        ("ab", 1, False, "two systems or more"),
        ("mushra", 2, False, "--reference"),
        ("mushra", 11, True, "at most 10"),
        ("best", 2, False, "allowed: abx, ab, mushra"),
    ],
)
def test_kinds_that_do_not_fit(asked: str, systems: int, reference: bool, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        kind_for(asked, systems, reference)
    assert "\n" not in str(error.value)


def test_the_kind_by_default() -> None:
    assert [kind_for(None, 2, False), kind_for(None, 3, False), kind_for(None, 1, True)] == ["ab", "ab", "mushra"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"rate_hz": 8_000, "seconds": 1.2}, "at 8000 Hz"),
        ({"seconds": 0.7}, "11200 samples"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_forms_that_differ_are_named(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    systems = {"a": tone(tmp_path / "a.wav", 300), "b": tone(tmp_path / "b.wav", 300, **other)}
    with pytest.raises(DataError, match=words) as error:
        build(Request(systems))
    assert str(error.value).startswith("a: b has")


def test_missing_partners_and_mixed_sources_are_named(folders: Path, tmp_path: Path) -> None:
    tone(tmp_path / "c" / "item0.wav", 300)
    with pytest.raises(DataError, match=r"2 only in a \(item1, item2\)"):
        items_of({"a": folders / "clean", "b": tmp_path / "c"})
    with pytest.raises(DataError, match="is a file where others are folders"):
        items_of({"a": folders / "clean", "b": tmp_path / "c" / "item0.wav"})
    with pytest.raises(DataError, match="no audio file"):
        items_of({"a": EXAMPLES.parent / "docs", "b": folders / "clean"})
    with pytest.raises(DataError, match="cannot be called 'anchor'"):
        build(Request({"anchor": folders / "clean"}, folders / "clean", "mushra"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "elsewhere"], "no such file or folder"),
        (["{root}/alphasys", "{root}/alphasys"], "two systems are called 'alphasys'"),
        (["{root}/alphasys", "{root}/betasys", "--level", "loud"], "--level loud"),
        (["{root}/alphasys", "{root}/betasys", "--level", "3"], "--level 3"),
        (["{root}/alphasys"], "two systems or more"),
        (["score", "nowhere.json"], "cannot be read"),
    ],
)
def test_the_command_refuses_in_one_line(folders: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    given = [text.format(root=folders) for text in arguments]
    result = CliRunner().invoke(app, ["listen", *given, *([] if given[0] == "score" else ["-o", str(tmp_path / "p")])])
    assert isinstance(result.exception, AuscultError)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "p").exists()


def test_the_help_explains_both_commands() -> None:
    text = CliRunner().invoke(app, ["listen", "--help"]).output
    assert all(word in text for word in ("auscult listen A B", "auscult listen score", "--reference", "--trials"))


def test_the_command_writes_a_page_and_says_what_is_in_it(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    given = ["listen", "--items", "2", f"{folders}/alphasys=old", f"{folders}/betasys", "-o", str(out)]
    text = CliRunner().invoke(app, given).output
    assert "2 of 3 items, drawn with seed 0" in text
    assert f"page: {out}" in text
    facts = json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)
    assert {stimulus["system"] for stimulus in facts["stimuli"].values()} == {"old", "betasys"}
    assert facts["bytes"] == out.stat().st_size


def test_excerpts_and_large_pages_are_said(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auscult.report.listen.LARGE_BYTES", 1_000)
    given = [f"{folders}/alphasys", f"{folders}/betasys", "--max-s", "0.5", "-o", str(tmp_path / "page.html")]
    result = CliRunner().invoke(app, ["listen", *given])
    assert len(re.findall(r"item\d: \d\.\d\d to \d\.\d\d s", result.output)) == 3
    assert "the page is large" in result.output


# --- in the browser


def begin(page: Any, name: str = "anna") -> None:
    """Name, sample, start: by keyboard alone."""
    assert page.locator("#start").is_disabled()
    page.locator("#listener").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('sample').textContent.startsWith('Stop')")
    page.locator("#start").press("Enter")
    ready(page)


def ready(page: Any) -> None:
    page.wait_for_selector("#trial[aria-busy=false]")


def hear(page: Any, keys: str, labels: str = "") -> None:
    """Press the key of every version until it counts as heard; ``labels`` are theirs where the keys are not."""
    for key, label in zip(keys, labels or keys, strict=True):
        page.keyboard.press(key)
        page.wait_for_function(
            "label => !document.getElementById('hint').textContent.replace(/.*: /, '').split(', ').includes(label)",
            arg="Reference" if label == "R" else label,
        )


def advance(page: Any, click: str = "") -> None:
    """To the next trial, loaded, or to the end."""
    title = page.locator("#trial-title").text_content()
    if click:
        page.click(click)
    else:
        page.keyboard.press("Enter")
    page.wait_for_function(
        "t => !document.getElementById('end').hidden || document.getElementById('trial-title').textContent !== t",
        arg=title,
    )
    page.wait_for_selector("#trial[aria-busy=false]:not([hidden]), #end:not([hidden])")


def save(page: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#save").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


@pytest.fixture
def made(folders: Path, tmp_path: Path) -> Any:
    def make(**changes: Any) -> tuple[Path, Any]:
        built = build(request(folders, **changes))
        write(tmp_path / "listen.html", built)
        return tmp_path / "listen.html", built

    return make


def test_an_abx_session_by_keyboard(made: Any, open_page: Any, tmp_path: Path) -> None:
    path, built = made(kind="abx", trials=6)
    page = open_page(path)
    begin(page)
    assert page.locator("#trial-title").text_content() == "Trial 1 of 6"
    page.keyboard.press("ArrowLeft")  # no answer before all are heard
    assert page.locator("#answers input:checked").count() == 0
    given = []
    for number in range(6):
        hear(page, "ABX" if number else "123", "ABX")
        assert page.locator("#next").is_disabled()
        page.keyboard.press("ArrowRight" if number % 3 else "ArrowLeft")
        given.append("B" if number % 3 else "A")
        advance(page)
    file = save(page, tmp_path)
    assert file.name == "results-abx-anna.json"
    found = json.loads(file.read_text())
    assert [trial["answer"] for trial in found["trials"]] == given
    assert Counter(trial["item"] for trial in found["trials"]) == {f"item{i}": 2 for i in range(3)}
    for trial in found["trials"]:
        systems = [built.stimuli[name].system for name in trial["order"]]
        assert trial["truth"] == dict(zip("ABX", systems, strict=True))
        assert {built.stimuli[name].item for name in trial["order"]} == {trial["item"]}
        assert trial["seconds"] > 0.5
        assert all(count >= 1 for count in trial["replays"].values())
    assert (found["page"], found["listener"]) == (built.page["page"], "anna")
    assert found["seed"] > 0
    report = analyse_abx(read_results([file]))
    hits = sum(trial["truth"][trial["answer"]] == trial["truth"]["X"] for trial in found["trials"])
    assert (report.pooled.hits, report.pooled.trials) == (hits, 6)
    shown = CliRunner().invoke(app, ["listen", "score", str(file)]).output
    assert f"{hits} of 6" in shown
    assert problems(page) == []


def test_a_preference_session_by_mouse_with_reference(made: Any, folders: Path, open_page: Any, tmp_path: Path) -> None:
    path, _ = made(reference=folders / "clean")
    page = open_page(path, color_scheme="dark")
    page.fill("#listener", "Ben Ö/1")
    page.click("#sample")
    page.click("#start")
    ready(page)
    for label in ("I prefer A", "No preference", "I prefer B"):
        for name in ("A", "B", "Reference"):
            page.click(f".stimulus[data-label={name}]")
            page.wait_for_timeout(450)
        page.wait_for_function("!document.querySelector('#answers input').disabled")
        page.click(f".choice:has-text('{label}')")
        advance(page, click="#next")
    assert page.locator("#another").is_disabled()  # it would forget what is not saved
    file = save(page, tmp_path)
    assert file.name == "results-ab-Ben_Ö_1.json"
    found = json.loads(file.read_text())
    assert [trial["answer"] for trial in found["trials"]] == ["A", "none", "B"]
    assert set(found["trials"][0]["truth"]) == {"A", "B"}
    assert found["trials"][0]["replays"]["Reference"] >= 1
    (pair,) = analyse(read_results([file])).pairs  # type: ignore[union-attr]
    liked = [trial["truth"][trial["answer"]] for trial in found["trials"] if trial["answer"] != "none"]
    assert (pair.wins_a, pair.wins_b, pair.ties) == (liked.count("alphasys"), liked.count("betasys"), 1)
    page.click("#another")
    assert page.locator("#setup").is_visible()
    assert page.locator("#listener").input_value() == ""
    assert problems(page) == []


def test_a_mushra_session_by_keyboard(made: Any, folders: Path, open_page: Any, tmp_path: Path) -> None:
    path, built = made(kind="mushra", reference=folders / "clean", items=2)
    page = open_page(path)
    begin(page, "cleo")
    labels = page.locator("#answers .stimulus").evaluate_all("all => all.map(one => one.dataset.label)")
    assert labels == ["1", "2", "3", "4"]
    assert page.locator(".scale li").all_text_contents() == ["Bad", "Poor", "Fair", "Good", "Excellent"]
    for _ in range(2):
        hear(page, "123")
        assert page.locator(".rating input").first.is_disabled()
        hear(page, "4R")
        for key in labels:
            page.keyboard.press(key)
            page.keyboard.press("Shift+ArrowRight")
            page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowLeft")
            assert page.locator(f".rating input[data-label='{key}']").input_value() == "61"
        page.locator(".rating input").nth(2).focus()
        page.keyboard.press("End")
        page.keyboard.press("4")  # a digit takes the focus along, so that the arrows move what is heard
        page.keyboard.press("Shift+ArrowLeft")
        assert page.locator(".rating output").all_text_contents() == ["61", "61", "100", "51"]
        advance(page)
    found = json.loads(save(page, tmp_path).read_text())
    for trial in found["trials"]:
        assert trial["answer"] == {"1": 61, "2": 61, "3": 100, "4": 51}
        assert sorted(trial["truth"].values()) == ["alphasys", "anchor", "betasys", "reference"]
        assert list(trial["truth"].values()) == [built.stimuli[name].system for name in trial["order"]]
    assert found["systems"] == ["alphasys", "betasys"]
    answers = read_results([tmp_path / "results-mushra-cleo.json"])
    report = analyse(answers, screening=False)
    means = {line.system: line.mean for line in report.systems}  # type: ignore[union-attr]
    for system in ("alphasys", "reference"):
        by_label = [trial["answer"][label] for trial in found["trials"] for label, own in trial["truth"].items()
                    if own == system]  # fmt: skip
        assert means[system] == pytest.approx(np.mean(by_label))
    assert problems(page) == []


TAP = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    window.tap = this.context.createAnalyser();
    window.tap.fftSize = 32768;
    connect.call(this, window.tap);
  }
  return connect.call(this, target, ...rest);
};
window.started = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...args) {
  window.started.push(args);
  return start.apply(this, args);
};
"""


def heard(page: Any) -> tuple[np.ndarray, float]:
    """The last samples that went to the loudspeaker."""
    samples, rate_hz = page.evaluate(
        "() => { const data = new Float32Array(tap.fftSize); tap.getFloatTimeDomainData(data);"
        " return [Array.from(data), tap.context.sampleRate]; }"
    )
    return np.array(samples), float(rate_hz)


def test_switching_is_synchronous_and_without_a_gap(browser: Any, tmp_path: Path) -> None:
    systems = {name: tone(tmp_path / f"{name}.wav", 200, 20.0, 48_000) for name in ("a", "b")}
    write(tmp_path / "listen.html", build(Request(systems)))
    page = tapped(browser, tmp_path / "listen.html")
    begin(page)
    page.keyboard.press("A")
    page.wait_for_timeout(900)
    before = page.evaluate("started.length")
    page.keyboard.press("B")
    page.wait_for_timeout(120)
    page.keyboard.press("A")
    page.wait_for_timeout(120)
    samples, rate_hz = heard(page)
    assert page.evaluate("started.length") == before  # a switch starts nothing: it turns one up, the other down
    (first, second) = page.evaluate("started.slice(-2)")
    assert first == second
    time = np.arange(samples.size) / rate_hz
    basis = np.stack([np.sin(2 * np.pi * 200 * time), np.cos(2 * np.pi * 200 * time)])
    fitted = np.linalg.lstsq(basis.T, samples, rcond=None)[0] @ basis
    assert np.abs(samples).max() > 0.02
    assert np.abs(samples - fitted).max() < 0.01 * np.abs(samples).max()  # one unbroken sine over both switches
    page.context.close()


def tapped(browser: Any, path: Path) -> Any:
    page = browser.new_context().new_page()
    page.add_init_script(TAP)
    page.set_default_timeout(20_000)
    page.goto(path.as_uri())
    return page


def test_what_is_heard_is_what_the_results_say(browser: Any, tmp_path: Path) -> None:
    tones = {"low": 400, "high": 1_300}
    systems = {name: tone(tmp_path / f"{name}.wav", hz, 2.0) for name, hz in tones.items()}
    write(tmp_path / "listen.html", build(Request(systems, kind="abx", trials=4)))
    page = tapped(browser, tmp_path / "listen.html")
    begin(page)
    listened = []
    for _ in range(4):
        systems_heard = {}
        for key in "ABX":
            page.keyboard.press(key)
            page.wait_for_timeout(900)
            samples, rate_hz = heard(page)
            found = np.argmax(np.abs(np.fft.rfft(samples * np.hanning(samples.size)))) * rate_hz / samples.size
            systems_heard[key] = min(tones, key=lambda name: abs(tones[name] - found))
            assert found == pytest.approx(tones[systems_heard[key]], abs=10)
        listened.append(systems_heard)
        page.keyboard.press("ArrowLeft" if systems_heard["X"] == systems_heard["A"] else "ArrowRight")
        advance(page)
    file = save(page, tmp_path)
    assert [trial["truth"] for trial in json.loads(file.read_text())["trials"]] == listened
    assert analyse_abx(read_results([file])).pooled.hits == 4
    page.context.close()


def test_play_pause_seek_and_loop(browser: Any, tmp_path: Path) -> None:
    systems = {name: tone(tmp_path / f"{name}.wav", 200, 3.0) for name in ("a", "b")}
    write(tmp_path / "listen.html", build(Request(systems)))
    page = tapped(browser, tmp_path / "listen.html")
    begin(page)

    def position() -> float:
        return float(page.locator("#position").input_value())

    page.keyboard.press(" ")
    page.wait_for_function("Number(document.getElementById('position').value) > 0.4")
    page.keyboard.press("b")
    assert position() > 0.4  # goes on at the same place
    page.keyboard.press(" ")
    assert page.locator("#play").text_content() == "Play"
    paused = position()
    page.wait_for_timeout(200)
    assert position() == paused
    page.locator("#position").fill("2.5")
    page.keyboard.press("l")
    assert not page.locator("#loop").is_checked()
    page.keyboard.press(" ")
    page.wait_for_function("document.getElementById('play').textContent === 'Play'")  # stops at the end
    assert position() == 0
    page.keyboard.press("l")
    page.locator("#position").fill("2.5")
    page.keyboard.press(" ")
    page.wait_for_timeout(1_000)
    assert page.locator("#play").text_content() == "Pause"  # went round
    assert position() < 1.5
    page.context.close()


def test_a_reload_keeps_answers_and_order(made: Any, folders: Path, open_page: Any, tmp_path: Path) -> None:
    path, _ = made(kind="mushra", reference=folders / "clean", items=2)
    page = open_page(path)
    begin(page, "dora")
    hear(page, "1234R")
    for key in "1234":
        page.keyboard.press(key)
        page.keyboard.press("Shift+ArrowRight")
    advance(page)
    hear(page, "1234R")
    page.keyboard.press("2")
    page.keyboard.press("Shift+ArrowLeft")
    page.reload()
    assert page.locator("#listener").input_value() == "dora"
    assert "1 of 2" in page.locator("#resume").text_content()
    page.click("#sample")
    assert page.locator("#start").text_content() == "Go on with trial 2"
    page.click("#start")
    ready(page)
    assert page.locator(".rating output").all_text_contents() == ["–", "40", "–", "–"]
    for key in "134":
        page.keyboard.press(key)
        page.keyboard.press("ArrowRight")
    advance(page)
    page.reload()
    page.locator("#end").wait_for(state="visible")
    found = json.loads(save(page, tmp_path).read_text())
    assert [trial["answer"] for trial in found["trials"]] == [
        {"1": 60, "2": 60, "3": 60, "4": 60},
        {"1": 51, "2": 40, "3": 51, "4": 51},
    ]
    assert problems(page) == []


def test_it_works_where_nothing_can_be_kept(made: Any, browser: Any) -> None:
    path, _ = made(kind="abx", trials=1)
    page = browser.new_context().new_page()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } });")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    begin(page)
    hear(page, "ABX")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector("#end:not([hidden])")
    assert errors == []
    page.context.close()


@pytest.mark.parametrize("kind", ["abx", "ab", "mushra"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(made: Any, folders: Path, open_page: Any, kind: str, scheme: str) -> None:
    path, _ = made(kind=kind, reference=folders / "clean" if kind != "abx" else None)
    page = open_page(path, viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    begin(page)
    assert not page.evaluate(wide)
    low = page.evaluate("[...document.querySelectorAll('#trial button')].map(b => b.getBoundingClientRect().height)")
    assert min(low) >= 40  # large enough for a thumb
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark))) < 200) == (scheme == "dark")
    assert problems(page) == []


def test_every_control_has_a_name(made: Any, folders: Path, open_page: Any) -> None:
    path, _ = made(kind="mushra", reference=folders / "clean")
    page = open_page(path)
    begin(page)
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, progress, textarea')].filter(one => !(one.ariaLabel"
        " || one.textContent.trim() || one.labels?.length)).map(one => one.outerHTML)"
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    assert page.locator("[aria-live]").count() >= 2
