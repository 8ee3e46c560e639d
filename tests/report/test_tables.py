"""CSV, Parquet, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from auscult.evaluate.rows import Evaluation, Item, Row
from auscult.evaluate.summary import Estimate, Summary, summarise
from auscult.report import tables
from tests.report import study


@pytest.fixture(scope="module")
def drawn() -> Evaluation:
    return study.make(seeds=(0, 1), items=30)


@pytest.fixture(scope="module")
def summary(drawn: Evaluation) -> Summary:
    return summarise(drawn, notes=["Read *this*."])


def test_a_row_an_item_system_and_seed(drawn: Evaluation) -> None:
    header, rows = tables.csv_rows(drawn)
    assert header == [
        "data",
        "system",
        "seed",
        "item",
        "noise_type",
        "snr_db",
        "speaker",
        "pesq",
        "estoi",
        "lsd",
        "failed",
        "protocol",
    ]
    assert len(rows) == len(drawn.rows) == 30 * (1 + 2 * 2)
    first = dict(zip(header, rows[1], strict=True))
    assert (first["system"], first["seed"], first["noise_type"]) == ("left", 0, "bus")
    assert first["pesq"] == drawn.rows[1].scores["pesq"]


def test_failures_are_named_and_their_scores_empty(drawn: Evaluation) -> None:
    row = Row("walk", "left", "walk_000", {"pesq": 2.0}, {"estoi": "too short", "lsd": 'said "no", twice'})
    text = tables.csv_text(replace(drawn, rows=(row,)))
    (read,) = csv.DictReader(io.StringIO(text))
    assert read["failed"] == 'estoi: too short; lsd: said "no", twice'
    assert (read["pesq"], read["estoi"], read["seed"]) == ("2.0", "", "")


def test_a_fact_called_like_a_column_gets_a_prefix(drawn: Evaluation) -> None:
    item = Item("walk", "walk_000", facts={"item": "x", "pesq": 1.0, "room": "hall"})
    header, rows = tables.csv_rows(replace(drawn, items=(item,), rows=drawn.rows[:1]))
    assert header[4:7] == ["fact.item", "fact.pesq", "room"]
    assert rows[0][4:7] == ["x", 1.0, "hall"]


def test_parquet_keeps_types_values_and_fingerprint(drawn: Evaluation, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    tables.write_parquet(tmp_path / "scores.parquet", drawn)
    table = parquet.read_table(tmp_path / "scores.parquet")
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (types["seed"], types["pesq"], types["snr_db"], types["noise_type"]) == (
        "int64",
        "double",
        "double",
        "string",
    )
    assert table.column("pesq").to_pylist() == [row.scores["pesq"] for row in drawn.rows]
    assert table.column("seed").to_pylist()[:2] == [None, 0]
    assert table.schema.metadata[b"auscult.fingerprint"] == drawn.fingerprint.encode()


def test_parquet_of_mixed_facts_is_words(drawn: Evaluation, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    items = tuple(replace(item, facts={"room": i if i else "outside"}) for i, item in enumerate(drawn.items))
    tables.write_parquet(tmp_path / "scores.parquet", replace(drawn, items=items))
    assert set(parquet.read_table(tmp_path / "scores.parquet").column("room").to_pylist()) >= {"outside", "1"}


@pytest.mark.parametrize(
    ("half", "digits"),
    [(0.21, 2), (0.057, 3), (1.2, 1), (14.0, 0), (250.0, 0), (0.00012, 4), (0.0, 3), (float("nan"), 3)],
)
def test_digits_follow_the_width_of_the_interval(half: float, digits: int) -> None:
    assert tables.digits_of([Estimate(9, 1.0, 1.0 - half, 1.0 + half, 1.0, 1.0)]) == digits


def test_numbers() -> None:
    assert tables.number(-0.001, 2) == "0.00"
    assert tables.number(-0.001, 2, sign=True) == "0.00"
    assert tables.number(0.5, 1, sign=True) == "+0.5"
    assert tables.number(float("nan"), 2) == tables.p_value(float("nan")) == "–"
    assert (tables.p_value(0.0004), tables.p_value(0.0341)) == ("< 0.001", "0.034")


def test_only_what_beats_every_other_system_is_bold(drawn: Evaluation, summary: Summary) -> None:
    pesq = drawn.metrics[0]
    assert tables.winner(summary, "walk", pesq) == "right"
    undecided = [replace(c, verdict="no difference shown") if c.b == "left" else c for c in summary.comparisons]
    assert tables.winner(replace(summary, comparisons=tuple(undecided)), "walk", pesq) is None
    assert tables.winner(summary, "walk", replace(pesq, higher_is_better=None)) is None
    turned = [
        replace(c, a=c.b, b=c.a, verdict={"better": "worse", "worse": "better"}.get(c.verdict, c.verdict))
        for c in summary.comparisons
    ]
    assert tables.winner(replace(summary, comparisons=tuple(turned)), "walk", pesq) == "right"


def test_markdown(drawn: Evaluation, summary: Summary) -> None:
    text = tables.markdown(drawn, summary)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(block) for block in blocks] == [2 + 3, 2 + 9]
    assert all(len({line.count("|") for line in block}) == 1 for block in blocks)
    assert "| system | pesq ↑ (MOS-LQO) | estoi ↑ | lsd ↓ (dB) |" in text
    assert re.search(r"^\| right \| \*\*\d\.\d+\*\* \[", text, re.MULTILINE)
    assert "Read \\*this\\*." in text
    assert drawn.fingerprint in text
    assert "30 items" in text


def test_markdown_of_several_data_sets_has_a_table_each() -> None:
    drawn = study.make(sets=("in", "out"))
    text = tables.markdown(drawn, summarise(drawn))
    assert [line for line in text.splitlines() if line.startswith("###")] == ["### in", "### out"]


def check_latex(text: str) -> list[list[str]]:
    """A small grammar: balanced braces and mathematics, environments that close, as many cells as columns."""
    body = re.sub(r"(?<!\\)%.*", "", text)
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", body):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", body)) % 2 == 0
    opened = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    outside = re.sub(r"(?<!\\)\$[^$]*\$", "", body)
    assert not re.search(r"(?<!\\)[_^#~]", outside)
    rows = []
    for columns, inside in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", body, re.DOTALL):
        assert inside.split()[0] == r"\toprule"
        assert inside.split()[-1] == r"\bottomrule"
        for row in re.findall(r"^(.*) \\\\$", inside, re.MULTILINE):
            rows.append(re.split(r" (?<!\\)& ", row))
            assert len(rows[-1]) == len(columns), row
            assert not row.startswith("[")
    return rows


def test_latex_compiles(drawn: Evaluation, summary: Summary) -> None:
    text = tables.latex(drawn, summary)
    rows = check_latex(text)
    assert len(rows) == 1 + 3 + 1 + 9
    assert rows[0] == ["System", r"pesq $\uparrow$ (MOS-LQO)", r"estoi $\uparrow$", r"lsd $\downarrow$ (dB)"]
    assert re.match(r"\$\\mathbf\{\d\.\d+\}\$ \{\\scriptsize \$\[\d\.\d+, \d\.\d+\]\$\}$", rows[3][1])
    assert drawn.fingerprint[: tables.SHORT] in text
    assert "30 items" in text


def test_latex_escapes_every_name() -> None:
    hostile = ("50%_a&b", r"[x] {y} \z $ # ~ ^", "<q|r>")
    drawn = study.make(systems=hostile, sets=("set_1 & 2",))
    rows = check_latex(tables.latex(drawn, summarise(drawn)))
    assert rows[2][0] == r"50\%\_a\&b"
    assert rows[3][0].startswith(r"{[}x{]} \{y\} \textbackslash{}z \$ \#")


def test_what_has_no_score_is_a_dash() -> None:
    drawn = study.make()
    rows = tuple(
        replace(row, scores={k: v for k, v in row.scores.items() if k != "lsd"}, failures={"lsd": "silence"})
        if row.system == "left"
        else row
        for row in drawn.rows
    )
    drawn = replace(drawn, rows=rows)
    summary = summarise(drawn)
    assert "| left |" in tables.markdown(drawn, summary)
    (line,) = [line for line in tables.markdown(drawn, summary).splitlines() if line.startswith("| left | ")]
    assert line.endswith("| – |")
    assert check_latex(tables.latex(drawn, summary))[2][-1] == "--"


def test_failures_are_counted_beside_the_means(drawn: Evaluation) -> None:
    rows = (replace(drawn.rows[0], scores={}, failures={"pesq": "silence"}), *drawn.rows[1:])
    drawn = replace(drawn, rows=rows)
    assert "failed: pesq of noisy 1" in tables.markdown(drawn, summarise(drawn))
