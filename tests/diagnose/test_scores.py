"""Tables of scores judged alone: unrelated signals, impossible values, repetitions, anchors, too few items."""

import csv
from pathlib import Path

import numpy as np
import pytest

from auscult.diagnose.case import Case, Given
from auscult.diagnose.checks import score_rows, score_values, scores
from auscult.diagnose.clock import Clock
from auscult.diagnose.finding import Finding
from auscult.diagnose.gather.columns import meanings
from auscult.diagnose.measure.null_law import MEAN_DB, fit
from auscult.errors import DataError
from auscult.evaluate.rows import Evaluation, Item, MetricFacts, Row
from auscult.evaluate.store import Store

CHECKS = (
    scores.NULL_LAW, scores.POWER, score_values.RANGE, score_values.REPEATS, score_values.ANCHOR, score_rows.ROWS,
)  # fmt: skip


def table(folder: Path, columns: dict[str, object], name: str = "scores.csv") -> Path:
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def findings(path: Path, **given: object) -> list[Finding]:
    case = Case(Given(scores=path, **given), Clock.lasting(60))
    answers = [check.run(case) for check in CHECKS]
    return [one for a in answers for one in ([a] if isinstance(a, Finding) else a or ())]


def alarms(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.check, one.verdict, one.causes[0]) for one in found if one.verdict in ("fault", "suspect")]


def unrelated(rng: np.random.Generator, items: int, spread_db: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Two draws of the law, with one N_eff an item."""
    effective_db = 30.9 + spread_db * rng.standard_normal(items)
    noisy, enhanced = (10 * np.log10(rng.chisquare(1, items)) - effective_db for _ in range(2))
    return noisy, enhanced


def names(count: int) -> list[str]:
    return [f"utt{i:04d}" for i in range(count)]


@pytest.mark.parametrize(("items", "spread_db"), [(60, 0.0), (192, 6.5), (400, 3.0)])
def test_unrelated_pairs_are_found_in_a_table_alone(tmp_path, items, spread_db):
    noisy, enhanced = unrelated(np.random.default_rng(items), items, spread_db)
    columns = {"uttid": names(items), "si_snr_noisy": noisy, "si_snr_enhanced": enhanced}
    found = findings(table(tmp_path, columns))
    assert alarms(found) == [("null-scores", "fault", "unrelated-pairs")]
    assert {"independent-crops", "lag"} <= set(next(one for one in found if one.check == "null-scores").causes)


def test_the_case_that_was_called_converged(data):
    path = data.parent / "cases" / "tfgridnet_192_items.csv"
    if not path.is_file():
        pytest.skip("the table of this case is not at hand")
    found = findings(path)
    assert alarms(found) == [("null-scores", "fault", "unrelated-pairs")]
    numbers = {one.what: one.value for one in found[0].measured}
    assert numbers["effective samples by the law of unrelated signals"] == pytest.approx(1226, abs=1)
    assert numbers["correlation of noisy and improvement"] == pytest.approx(-0.576, abs=0.001)
    assert numbers["items that fit independence"] == pytest.approx(82.8, abs=0.1)
    assert "-36.4 dB" in found[0].says


def test_the_law_is_that_of_signals_that_have_nothing_in_common():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 4000, 200))
    rho = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found = fit(10 * np.log10(rho**2 / (1 - rho**2)))
    assert found.effective == pytest.approx(200, rel=0.05)
    assert found.mean.value == pytest.approx(MEAN_DB - 10 * np.log10(200), abs=0.4)
    assert found.sd.value == pytest.approx(9.647, abs=0.35)
    assert found.skewness.value == pytest.approx(-1.535, abs=0.3)
    assert found.distance < 1.63
    assert found.independent == pytest.approx(0.95, abs=0.015)


def mixtures(rng: np.random.Generator, low: float, high: float, gain: float, spread: float, items: int = 80) -> dict:
    noisy = rng.uniform(low, high, items)
    enhanced = noisy + gain + spread * rng.standard_normal(items)
    return {"file": [f"{name}.wav" for name in names(items)], "si_sdr_noisy": noisy, "si_sdr_enhanced": enhanced}


HEALTHY = {
    "0 to 20 dB": lambda rng: mixtures(rng, 0, 20, 6, 2),
    "very low SNR": lambda rng: mixtures(rng, -18, -12, 9, 3),
    "very low SNR, little learned": lambda rng: mixtures(rng, -18, -12, 0.8, 1),
    "wide, few items": lambda rng: mixtures(rng, -10, 20, 5, 4, items=12),
    "separation": lambda rng: {
        "id": names(60), "SI-SDR_mixture": rng.normal(0, 2.5, 60), "SI-SDR": rng.normal(13, 4, 60),
    },
    "a model that fails on some items": lambda rng: {
        "id": names(100), "sisdr_noisy": rng.uniform(-5, 15, 100),
        "sisdr_enhanced": np.where(np.arange(100) % 12 == 0, -25.0, 14.0) + rng.standard_normal(100),
    },
    "all metrics of a paper": lambda rng: {
        "filename": names(50), "pesq_noisy": rng.uniform(1.2, 3, 50), "pesq": rng.uniform(2, 3.5, 50),
        "stoi_noisy": rng.uniform(80, 95, 50), "stoi": rng.uniform(90, 97, 50),
        "estoi_noisy": rng.uniform(0.6, 0.8, 50), "estoi": rng.uniform(0.8, 0.9, 50),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(3))
def test_healthy_tables_raise_no_alarm(tmp_path, name, seed):
    found = findings(table(tmp_path, HEALTHY[name](np.random.default_rng(seed))))
    assert alarms(found) == []
    if "dB" in name or "SNR" in name:
        null = next(one for one in found if one.check == "null-scores")
        assert null.verdict == "healthy"
        assert "unrelated-pairs" in null.causes


def test_outputs_of_other_items_beside_a_sound_input(tmp_path):
    rng = np.random.default_rng(1)
    columns = {"id": names(80), "noisy": rng.uniform(0, 15, 80), "si_sdr_enhanced": unrelated(rng, 80)[0]}
    found = findings(table(tmp_path, columns))
    assert ("null-scores", "fault", "wrong-file-pairs") in alarms(found)
    assert any(one.verdict == "healthy" and "unrelated-pairs" in one.causes for one in found)


def rated(rng: np.random.Generator, items: int, loose: float = 1.0) -> dict[str, object]:
    """Three metrics of inputs that agree on what is hard, and of outputs that follow them more or less loosely."""
    snr = rng.uniform(0, 15, items)
    columns: dict[str, object] = {"file": names(items)}
    for metric, scale, low in (("pesq", 0.08, 1.3), ("estoi", 0.03, 0.4), ("si_sdr", 1.0, 0.0)):
        columns[f"{metric}_noisy"] = low + scale * (snr + 1.0 * rng.standard_normal(items))
        columns[f"{metric}_enhanced"] = low + scale * (0.6 * snr + 5 + loose * rng.standard_normal(items))
    return columns


@pytest.mark.parametrize(("items", "together", "verdict"), [(24, False, "suspect"), (60, False, "fault"),
                                                            (60, True, "suspect")])  # fmt: skip
def test_rows_that_hold_the_scores_of_other_items_are_seen(tmp_path, items, together, verdict):
    rng = np.random.default_rng(items)
    columns = rated(rng, items)
    turn = rng.permutation(items)
    for name in [name for name in columns if name.endswith("_enhanced")]:
        columns[name] = columns[name][turn if together else rng.permutation(items)]
    assert ("score-rows", verdict, "wrong-file-pairs") in alarms(findings(table(tmp_path, columns)))


@pytest.mark.parametrize("loose", [0.5, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_rows_whose_outputs_follow_their_inputs_are_left_alone(tmp_path, loose, seed):
    found = findings(table(tmp_path, rated(np.random.default_rng(seed), 24, loose)))
    assert next(one for one in found if one.check == "score-rows").verdict == "healthy"
    assert not [one for one in alarms(found) if one[0] == "score-rows"]


def test_outputs_that_rank_by_themselves_are_no_proof_where_inputs_do_not_differ(tmp_path):
    columns = rated(np.random.default_rng(0), 40)
    for metric in ("pesq", "estoi", "si_sdr"):
        columns[f"{metric}_noisy"] = np.random.default_rng(len(metric)).uniform(1.1, 1.2, 40)
    assert "score-rows" not in {one.check for one in findings(table(tmp_path, columns))}


def test_a_few_pairs_that_do_not_belong_together_are_named(tmp_path):
    columns = mixtures(np.random.default_rng(2), 0, 15, 6, 2)
    columns["si_sdr_noisy"][:5] = [-30, -41, -33, -28, -52]
    found = next(one for one in findings(table(tmp_path, columns)) if one.verdict == "suspect")
    assert found.causes[0] == "unrelated-pairs"
    assert [one.name for one in found.exhibits[:2]] == ["utt0004", "utt0001"]


@pytest.mark.parametrize(
    ("column", "meaning"),
    [("si_snr_noisy", ("si_snr", "noisy")), ("PESQ", ("pesq", "enhanced")), ("nb_pesq_mix", ("pesq_nb", "noisy")),
     ("SI-SDRi", ("si_sdr", "improvement")), ("estoi_est", ("estoi", "enhanced")),
     ("pesq_conv_tasnet", ("pesq", "conv_tasnet")), ("delta sisdr", ("si_sdr", "improvement")), ("snr_db", None),
     ("duration", None)],
)  # fmt: skip
def test_columns_are_read_by_name(column, meaning):
    assert meanings([column], {}).get(column) == meaning


def test_a_side_alone_takes_the_only_metric_and_stated_columns_win():
    assert meanings(["sisnr_noisy", "improvement"], {})["improvement"] == ("si_snr", "improvement")
    assert meanings(["a"], {"a": "pesq.noisy"}) == {"a": ("pesq", "noisy")}
    with pytest.raises(DataError, match=r"both read as si_sdr\.noisy"):
        meanings(["si_sdr_noisy", "sisdr_mix"], {})
    with pytest.raises(DataError, match=r"METRIC\.SIDE"):
        meanings(["a"], {"a": "pesq"})


IMPOSSIBLE = {
    "raw P.862": {"pesq_noisy": np.linspace(0.4, 2.4, 20), "pesq": np.linspace(1.2, 3.0, 20)},
    "over the top": {"pesq": np.linspace(3.8, 4.9, 20)},
    "failures as numbers": {"pesq": np.r_[np.linspace(1.5, 3.0, 18), -1.0, -1.0]},
    "exchanged": {"stoi": np.linspace(0.6, 0.8, 20), "estoi": np.linspace(0.85, 0.95, 20)},
    "sign turned": {
        "si_sdr_noisy": np.linspace(0, 10, 20), "si_sdr": np.linspace(9, 15, 20),
        "si_sdr_improvement": -np.linspace(9, 5, 20),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_values_that_cannot_be_what_their_column_says(tmp_path, name):
    found = alarms(findings(table(tmp_path, {"id": names(20), **IMPOSSIBLE[name]})))
    assert ("score-ranges", "fault", "metric-mixup") in found


def repeated(rng: np.random.Generator, column: str, noisy_sd: float, enhanced_sd: float) -> dict:
    true = np.tile(rng.uniform(1.3, 3, 30), 3)
    return {
        "id": names(30) * 3, column: np.repeat([0, 1, 2], 30),
        "pesq_noisy": true + noisy_sd * rng.standard_normal(90),
        "pesq": true + 0.6 + enhanced_sd * rng.standard_normal(90),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "noisy_sd", "enhanced_sd", "alarm"),
    [("run", 0.18, 0.18, [("score-repeats", "fault", "scores-not-repeatable")]),
     ("run", 0.0, 0.18, [("score-repeats", "suspect", "scores-not-repeatable")]),
     ("run", 0.0, 0.0, []), ("seed", 0.0, 0.1, [])],
)  # fmt: skip
def test_repetitions(tmp_path, column, noisy_sd, enhanced_sd, alarm):
    path = table(tmp_path, repeated(np.random.default_rng(0), column, noisy_sd, enhanced_sd))
    assert alarms(findings(path)) == alarm


def test_too_few_items_for_a_difference_and_enough(tmp_path):
    rng = np.random.default_rng(3)
    few = {"id": names(6), "pesq_a": rng.uniform(2, 3, 6)}
    few["pesq_b"] = few["pesq_a"] + np.array([0.2, -0.25, 0.1, -0.05, 0.3, -0.2])
    assert alarms(findings(table(tmp_path, few))) == [("too-few-items", "suspect", "too-few-items")]
    many = {"id": names(60), "pesq_a": rng.uniform(2, 3, 60)}
    many["pesq_b"] = many["pesq_a"] + 0.1 + 0.1 * rng.standard_normal(60)
    (power,) = [one for one in findings(table(tmp_path, many)) if one.check == "too-few-items"]
    assert power.verdict == "healthy"
    assert power.measured[0].high < 0


@pytest.mark.parametrize(("mean", "verdict"), [(1.97, "healthy"), (2.01, "suspect"), (2.4, "fault")])
def test_the_noisy_set_has_a_known_score(tmp_path, mean, verdict):
    items = [f"p{speaker}_{i:03d}" for speaker in (232, 257) for i in range(1, 413)]
    pesq = np.random.default_rng(0).normal(0, 0.3, 824)
    columns = {"filename": items, "pesq_noisy": pesq - pesq.mean() + mean, "pesq": pesq - pesq.mean() + mean + 0.8}
    (found,) = [one for one in findings(table(tmp_path, columns)) if one.check == "anchor"]
    assert found.verdict == verdict
    assert found.causes[0] == "anchor-off"


def test_rows_that_sum_up_are_left_out_and_jsonl_is_read(tmp_path):
    path = tmp_path / "scores.jsonl"
    rows = [f'{{"id": "u{i}", "scores": {{"pesq": {1.5 + 0.1 * i}}}}}' for i in range(12)]
    path.write_text("\n".join([*rows, '{"id": "mean", "scores": {"pesq": 2.05}}']))
    case = Case(Given(scores=path), Clock.lasting(9))
    assert len(case.scores.items) == 12
    assert case.scores.values["pesq", "enhanced"].max() == pytest.approx(2.6)


def test_an_evaluation_of_ours_is_read_with_its_seeds(tmp_path):
    items = tuple(Item("set", f"u{i}") for i in range(10))
    metrics = (MetricFacts("pesq", "MOS", True, "", "", 0.05),)
    head = Evaluation(items, (), metrics, {"noisy": {}, "model": {}}, {}, "0")
    with Store(tmp_path / "e", head) as store:
        for i, item in enumerate(items):
            store.add(Row("set", "noisy", item.name, {"pesq": 1.5 + 0.1 * i}))
            for seed in (0, 1):
                store.add(Row("set", "model", item.name, {"pesq": 2.0 + 0.1 * i + 0.02 * seed}, seed=seed))
    case = Case(Given(scores=tmp_path / "e"), Clock.lasting(9))
    assert case.scores.values["pesq", "improvement"] == pytest.approx(0.51)
    assert case.scores.seeds["pesq", "enhanced"].shape == (2, 10)
    assert alarms(findings(tmp_path / "e")) == []
