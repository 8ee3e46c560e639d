"""The report page: what is in it, and what it does in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.evaluate.rows import Evaluation, Item, Row
from auscult.evaluate.summary import summarise
from auscult.report.evaluation import AUDIO_FOLDER, write_report
from tests.report import study
from tests.report.conftest import luminance, problems

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def drawn(recordings: Path) -> Evaluation:
    """Twelve items with recordings, one failure."""
    made = study.make(recordings)
    rows = [replace(made.rows[0], scores={}, failures={"pesq": "shorter than 0.25 s"}), *made.rows[1:]]
    return replace(made, rows=tuple(replace(row, speed=52.5) if row.system == "left" else row for row in rows))


@pytest.fixture(scope="module")
def few(recordings: Path) -> Evaluation:
    return study.make(recordings, items=2, sets=("few",))


@pytest.fixture(scope="module")
def path(drawn: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, drawn, summarise(drawn, ["Measured on twelve pieces."]))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets, three seeds, 300 items, no recordings."""
    path = tmp_path_factory.mktemp("large") / "report.html"
    made = study.make(items=150, sets=("in-distribution", "ood"), seeds=(0, 1, 2), systems=("a", "b", "c"))
    write_report(path, made, summarise(made), audio="none")
    return path


def test_one_file_holds_everything(path: Path, drawn: Evaluation) -> None:
    text = path.read_text()
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"url\((?!data:)|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    for words in ("Measured on twelve pieces.", drawn.fingerprint, "shorter than 0.25 s", "52.5", "resampler.quality"):
        assert words in text, words
    order = [
        "Summary",
        "Comparisons",
        "Distributions",
        "Groups",
        "Improvement",
        "What to listen to",
        "All items",
        "Failures",
    ]
    places = [text.index(f"<h2>{title}") for title in order]
    assert places == sorted(places)


def test_audio_beside_the_page(few: Evaluation, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", few, summarise(few), audio="beside")
    addresses = re.findall(r'data-address="([^"]+)"', (tmp_path / "report.html").read_text())
    assert addresses
    assert all(address.startswith(f"{AUDIO_FOLDER}/") and (tmp_path / address).is_file() for address in addresses)


def test_no_audio(few: Evaluation, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", few, summarise(few), audio="none", metric="lsd", system="left")
    text = (tmp_path / "report.html").read_text()
    assert "data-address" not in text
    assert "change of lsd from noisy to left" in text


def test_recordings_that_are_gone_are_named(few: Evaluation, tmp_path: Path) -> None:
    rows = tuple(replace(row, estimate=tmp_path / "gone.wav") if row.system == "right" else row for row in few.rows)
    write_report(tmp_path / "report.html", replace(few, rows=rows), summarise(few))
    assert f"right: {tmp_path}/gone.wav: no such file" in (tmp_path / "report.html").read_text()


def test_another_length_costs_the_difference_only(few: Evaluation, tmp_path: Path) -> None:
    from auscult.audio.clip import read
    from auscult.audio.writer import write

    assert few.items[0].clean is not None
    clip = read(few.items[0].clean)
    write(tmp_path / "short.wav", clip.with_wave(clip.wave[:, :9_000]))
    rows = tuple(replace(row, estimate=tmp_path / "short.wav") if row.system == "right" else row for row in few.rows)
    write_report(tmp_path / "report.html", replace(few, rows=rows), summarise(few), system="right")
    assert "their difference is not defined" in (tmp_path / "report.html").read_text()


def test_nothing_scored_still_makes_a_page(tmp_path: Path) -> None:
    made = study.make(items=3)
    made = replace(made, rows=tuple(replace(row, scores={}, failures={"pesq": "silence"}) for row in made.rows))
    write_report(tmp_path / "report.html", made, summarise(made))
    assert "Nothing was scored" in (tmp_path / "report.html").read_text()


# In the browser


@pytest.fixture
def page(open_page: Callable[..., Any], path: Path) -> Any:
    return open_page(path, viewport={"width": 1280, "height": 900})


def column(page: Any, number: int) -> list[str]:
    """A column of the table of items, as shown."""
    return page.locator(f"#table tbody tr > :nth-child({number})").all_inner_texts()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts if text[-1].isdigit()]


def header(page: Any, name: str) -> Any:
    return page.locator("#table thead button", has_text=re.compile(f"^{re.escape(name)}$"))


def position(page: Any) -> float:
    return page.evaluate("viewer.player.current.currentTime")


def test_the_page_opens_without_a_complaint(page: Any) -> None:
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#table tbody tr").count() == 12
    assert page.locator(".chart svg").count() == 3
    assert page.locator(".picture img:visible").count() == 3
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert problems(page) == []


def test_players_play_and_switch_at_the_same_position(page: Any) -> None:
    page.locator(".card:visible .play").click()
    page.wait_for_function("viewer.player.current.currentTime > 0.25")
    page.locator(".card:visible .track").nth(2).click()
    page.wait_for_function(
        "viewer.player.track === 2 && viewer.player.playing && viewer.player.current.currentTime > 0.3"
    )
    assert page.evaluate("viewer.player.audios.filter((audio) => !audio.paused).length") == 1
    page.wait_for_function("viewer.player.current.ended")
    assert page.locator(".card:visible .play").inner_text() == "Play"
    assert problems(page) == []


def test_the_keyboard_plays_switches_and_moves_on(page: Any) -> None:
    page.locator("#listen h2").scroll_into_view_if_needed()
    page.locator(".card:visible h3").click()
    page.evaluate("viewer.player.seek(0.4)")
    before = position(page)
    page.keyboard.press("3")
    assert page.evaluate("viewer.player.track") == 2
    assert position(page) == pytest.approx(before, abs=0.02)
    page.keyboard.press(" ")
    page.wait_for_function("viewer.player.playing")
    page.keyboard.press("1")
    page.wait_for_function(f"viewer.player.track === 0 && viewer.player.current.currentTime > {before}")
    page.keyboard.press(" ")
    page.wait_for_function("!viewer.player.playing")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("viewer.index") == 1
    assert page.locator(".card:visible").get_attribute("id") == "card-1"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("viewer.index") == 0
    page.keyboard.press("9")
    assert page.evaluate("viewer.player.track") == 0
    assert problems(page) == []


def test_space_scrolls_where_nothing_is_listened_to(page: Any) -> None:
    page.locator("h1").click()
    page.keyboard.press(" ")
    page.wait_for_function("window.scrollY > 200")
    assert page.evaluate("viewer.player.playing") is False


def test_a_click_into_a_plot_moves_there(page: Any) -> None:
    page.wait_for_function("viewer.player.duration > 0")
    box = page.locator(".card:visible .picture").first.bounding_box()
    page.locator(".card:visible .picture").first.click(position={"x": box["width"] * (0.07 + 0.845 * 0.5), "y": 20})
    assert position(page) == pytest.approx(1.25, abs=0.05)
    head = page.locator(".card:visible .head").first.bounding_box()
    assert head["x"] - box["x"] == pytest.approx(box["width"] * (0.07 + 0.845 * 0.5), abs=3)


def test_cards_open_from_the_list_and_from_the_table(page: Any) -> None:
    page.locator(".picks button").nth(3).click()
    assert page.locator(".card:visible").get_attribute("id") == "card-3"
    assert page.locator(".picks button[aria-current=true]").count() == 1
    page.locator("#table tbody a").first.click()
    name = page.locator("#table tbody a").first.inner_text()
    assert page.locator(".card:visible h3").inner_text().startswith(name)


def test_only_the_card_in_view_holds_players(page: Any) -> None:
    for _ in range(4):
        page.evaluate("viewer.step(1)")
    assert page.locator("audio").count() == 4


def test_the_table_sorts_both_ways_and_keeps_the_focus(page: Any) -> None:
    button = header(page, "right")
    button.focus()
    page.keyboard.press("Enter")
    place = page.locator("#table thead th").all_inner_texts().index("right") + 1
    values = numbers(column(page, place))
    assert values == sorted(values, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text() == "right"
    page.keyboard.press("Enter")
    values = numbers(column(page, place))
    assert values == sorted(values)
    header(page, "noisy").click()
    assert column(page, 5)[-1].startswith("failed")
    header(page, "noisy").click()
    assert column(page, 5)[-1].startswith("failed")
    header(page, "item").click()
    assert column(page, 1) == sorted(column(page, 1))


def test_the_table_filters(page: Any) -> None:
    page.locator("#find").fill("walk_00")
    assert page.locator("#table tbody tr").count() == 10
    page.locator("#find").fill("CAFE")
    assert page.locator("#table tbody tr").count() == 4
    page.locator("#only").select_option(label="s1")
    assert 0 < page.locator("#table tbody tr").count() < 4
    page.locator("#find").fill("")
    page.locator("#only").select_option("failed")
    assert column(page, 1) == ["walk_000"]
    assert "1 of 1 shown, 12 in all" in page.locator("#shown").inner_text()


def test_the_metric_changes_table_and_charts(page: Any) -> None:
    def charts() -> list[str]:
        return [page.locator(f"#{name} svg").inner_html() for name in ("distribution", "groups", "gain")]

    before, table = charts(), column(page, 6)
    page.locator("#metric").select_option(label="lsd")
    after = charts()
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert "lsd (dB), lower is better" in after[0]
    assert column(page, 6) != table
    page.locator("#legend button", has_text="left").click()
    assert "left" not in page.locator("#table thead").inner_text()
    assert page.locator("#distribution .label").all_text_contents() == ["noisy", "right"]
    page.locator("#group").select_option(label="speaker")
    assert "s3" in page.locator("#groups svg").inner_html()
    assert problems(page) == []


def test_points_say_what_they_are(page: Any) -> None:
    page.locator("#gain-section").scroll_into_view_if_needed()
    dot = page.locator("#gain .dot").first
    dot.hover(force=True)
    assert re.search(r"walk_\d+\n(left|right): [+−]?\d", page.locator("#tip").inner_text())


def test_several_sets_and_seeds(open_page: Callable[..., Any], large: Path) -> None:
    page = open_page(large)
    assert page.locator("#table tbody tr").count() == 100
    page.locator("#more").click()
    assert page.locator("#table tbody tr").count() == 200
    page.locator("#all").click()
    assert page.locator("#table tbody tr").count() == 300
    assert page.locator("#all").is_hidden()
    page.locator("#set").select_option(label="ood")
    assert set(column(page, 2)) == {"ood"}
    assert page.locator("#distribution .mean").count() == 4
    assert page.locator(".means").count() == 2
    assert "3 seeds" in page.locator(".means").first.inner_text()
    assert problems(page) == []


def test_many_comparisons_are_shown_metric_by_metric(open_page: Callable[..., Any], large: Path) -> None:
    page = open_page(large)
    assert page.locator(".compared tbody tr:visible").count() == 2 * 6
    page.locator("#compared").select_option("")
    assert page.locator(".compared tbody tr:visible").count() == 2 * 6 * 3


def test_the_verdict_is_of_the_best_system_against_noisy_and_its_rival(
    open_page: Callable[..., Any], large: Path
) -> None:
    said = open_page(large).locator(".verdict").inner_text()
    assert all(
        f"On {data}, c against {other} in pesq" in said
        for data in ("in-distribution", "ood")
        for other in ("noisy", "b")
    )
    assert said.count("c against") == 4
    assert said.endswith(".")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_width_scrolls_the_page(
    open_page: Callable[..., Any], path: Path, large: Path, scheme: str, width: int
) -> None:
    for one in (path, large):
        page = open_page(one, viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert (luminance(ink) > luminance(paper)) == (scheme == "dark")
        assert problems(page) == []


def test_charts_follow_the_width(open_page: Callable[..., Any], large: Path) -> None:
    page = open_page(large, viewport={"width": 1200, "height": 800})
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_function("document.querySelector('#gain svg').getAttribute('width') < 420")


def test_names_are_text_wherever_they_appear(open_page: Callable[..., Any], tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror="throw 1">\'&amp;'
    rows = [
        Row(hostile, system, hostile, {"pesq": 1.0 + k}, {"estoi": hostile})
        for k, system in enumerate(("noisy", hostile))
    ]
    item = Item(hostile, hostile, facts={hostile: hostile, "noise_type": hostile})
    systems = {"noisy": {}, hostile: {hostile: hostile}}
    made = Evaluation((item,), tuple(rows), study.METRICS, systems, {hostile: [hostile, {hostile: hostile}]}, "f")
    write_report(tmp_path / "report.html", made, summarise(made, [hostile]))
    page = open_page(tmp_path / "report.html")
    assert page.locator("#table tbody th").inner_text() == hostile
    assert page.locator("img").count() == 0
    assert problems(page) == []


def test_printed_it_shows_every_card(page: Any) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".card:visible").count() == page.locator(".card").count()
    assert not page.locator(".player:visible").count()
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 700


def test_real_pairs(open_page: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    """Recordings of the field, of several lengths, through page and player."""
    files = sorted((data / "vbdmd_p257" / "noisy").glob("*.flac"))[:6]
    items = tuple(
        Item("vb", f.stem, data / "vbdmd_p257" / "clean" / f.name, f, {"snr_db": float(i)}) for i, f in enumerate(files)
    )
    rows = [Row("vb", "noisy", i.name, {"pesq": 1.0 + k / 9}, estimate=i.noisy) for k, i in enumerate(items)]
    rows += [
        Row("vb", "clean as estimate", i.name, {"pesq": 4.6 - k / 5}, estimate=i.clean) for k, i in enumerate(items)
    ]
    made = Evaluation(items, tuple(rows), study.METRICS[:1], {"noisy": {}, "clean as estimate": {}}, {}, "f")
    write_report(tmp_path / "report.html", made, summarise(made))
    page = open_page(tmp_path / "report.html")
    page.locator(".card:visible .play").click()
    page.wait_for_function("viewer.player.current.currentTime > 0.3")
    assert problems(page) == []
