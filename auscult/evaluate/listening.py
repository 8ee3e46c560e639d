"""What answers of listeners say, by the kind of listening test that was answered."""

from __future__ import annotations

from auscult.evaluate.abx import AbxReport, analyse_abx
from auscult.evaluate.answers import Answers
from auscult.evaluate.mushra import MushraReport, analyse_mushra
from auscult.evaluate.preference import AbReport, analyse_ab


def analyse(answers: Answers, screening: bool = True) -> AbxReport | AbReport | MushraReport:
    """The report for the kind of test that was answered.

    Raises:
        DataError: screening leaves nobody.
    """
    if answers.kind == "abx":
        return analyse_abx(answers)
    return analyse_ab(answers) if answers.kind == "ab" else analyse_mushra(answers, screening)
