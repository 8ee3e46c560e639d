"""Do the rows of a table hold the scores of one item each?

An item that is hard before restoration is hard after it, whatever restores: over items, scores of inputs and of their
outputs rank alike. Where they do not, outputs were scored against other items' references, or columns were sorted
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from auscult.diagnose.case import Case
from auscult.diagnose.check import Check
from auscult.diagnose.finding import Finding, Measured, Verdict

FEWEST, ENOUGH = 12, 30
"""Items without which nothing is said; with which a fault may be."""
AGREE, FOLLOW = 0.5, 0.5
"""Rank correlations: of the input's metrics with each other, so that items differ; of outputs with their inputs."""
ONE_SIDED = 1.645
METRICS = ("pesq", "pesq_nb", "stoi", "estoi", "si_sdr", "si_snr", "sdr", "csig", "cbak", "covl")
"""With a reference, and better when higher."""
Columns = Mapping[str, Float[ndarray, " items"]]


def check_rows(case: Case) -> Finding | None:
    """Do the scores of outputs follow those of their inputs?"""
    values = case.scores.values
    known = [metric for metric in METRICS if (metric, "noisy") in values and (metric, "enhanced") in values]
    if len(known) < 2:
        return None
    whole = np.isfinite([values[metric, side] for metric in known for side in ("noisy", "enhanced")]).all(0)
    noisy, enhanced = ({m: values[m, side][whole] for m in known} for side in ("noisy", "enhanced"))
    count = int(whole.sum())
    if count < FEWEST:
        return None
    agreeing = _among(noisy)
    if agreeing < AGREE:
        return None
    return _judged(float(np.mean([_ranked(noisy[m], enhanced[m]) for m in known])), _among(enhanced), agreeing, count)


def _judged(following: float, among: float, agreeing: float, count: int) -> Finding:
    highest = float(np.tanh(np.arctanh(min(following, 0.999)) + ONE_SIDED / np.sqrt(count - 3)))
    measured = [
        Measured("rank correlation of outputs' scores with their inputs', mean over metrics", following, "",
                 f"above {FOLLOW}", None, highest),
        Measured("of the input's metrics with each other", agreeing),
        Measured("of the outputs' metrics with each other", among),
    ]  # fmt: skip
    says = f"over {count} items the outputs' scores rank as their inputs' do to {following:.2f}"
    if highest >= FOLLOW:
        return Finding("score-rows", "healthy", ("wrong-file-pairs",), says, measured)
    says += (
        f" only, where the input's metrics agree on what is hard to {agreeing:.2f} and the outputs' to {among:.2f}: "
        "rows hardly hold one item each"
    )
    verdict: Verdict = "fault" if count >= ENOUGH and among < AGREE / 2 else "suspect"
    return Finding("score-rows", verdict, ("wrong-file-pairs", "null-scores", "unrelated-pairs"), says, measured)


def _among(columns: Columns) -> float:
    """Mean rank correlation of all pairs of metrics."""
    return float(np.mean([_ranked(columns[a], columns[b]) for a, b in combinations(columns, 2)]))


def _ranked(a: ndarray, b: ndarray) -> float:
    """Spearman's; 0 where one is constant."""
    from scipy.stats import rankdata

    ranks: Sequence[ndarray] = [rankdata(one) - (a.size + 1) / 2 for one in (a, b)]
    sizes = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    return float(ranks[0] @ ranks[1]) / sizes if sizes else 0.0


ROWS = Check(
    "score-rows",
    "evaluation",
    "Do the rows of the table hold one item each?",
    ("scores",),
    0.1,
    f"of {FEWEST} items or more with two metrics, those of the input agreeing on what is hard (rank correlation "
    f"{AGREE:g}): suspect where the outputs' scores follow their inputs' by less than {FOLLOW:g} (upper end of the "
    f"one-sided 95 % interval); fault from {ENOUGH} items on where the outputs' metrics do not agree either "
    f"({AGREE / 2:g}). Three systems on ten corpora: 0.74 and more",
    "Rank correlation (Spearman 1904) with Fisher's interval",
    check_rows,
)
