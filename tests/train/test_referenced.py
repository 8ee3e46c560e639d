"""A recipe whose data come from a source within another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auscult.data.referenced import Referenced
from auscult.errors import RecipeError
from auscult.train.settings import Options
from auscult.train.setup import plan_run
from tests.train.runs import REGRESSION

METHOD = {**REGRESSION["method"], "rate_hz": 16_000}


def nested(**source: Any) -> dict[str, Any]:
    """The tiny recipe, its data with noise references."""
    inner = {**REGRESSION["data"], "crop_s": 0.6, **source}
    data = {"type": "Referenced", "source": inner, "crop_s": 0.3, "duration_s": [0.1, 0.3]}
    return {**REGRESSION, "method": METHOD, "data": data}


def test_the_inner_source_gets_the_folder(corpus: Path) -> None:
    plan = plan_run(nested(), Options(), corpus)
    assert isinstance(plan.data, Referenced)
    assert len(plan.data) > 0
    assert "root" not in str(plan.resolved["data"])
    assert plan.resolved["data"]["source"]["crop_s"] == 0.6


def test_its_origin_is_part_of_the_runs_identity(corpus: Path) -> None:
    recipes = [nested(), nested()]
    recipes[1]["data"]["origin"] = "none"
    names = {plan_run(raw, Options(), corpus).folder_name for raw in recipes}
    assert len(names) == 2


def test_its_rate_is_checked(corpus: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.source\.rate_hz is 48000, method\.rate_hz is 16000"):
        plan_run(nested(rate_hz=48_000), Options(), corpus)


def test_a_misspelt_key_within_is_named(corpus: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.source\.crop: unknown key of Mixture \(did you mean 'crop_s'\?\)"):
        plan_run(nested(crop=1.0), Options(), corpus)
