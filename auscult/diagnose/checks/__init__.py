"""The catalogue of checks: one literal list; a new check is a line here and a constant in its module."""

from __future__ import annotations

import importlib
from functools import cache

from auscult.diagnose.check import Check

CATALOGUE: tuple[str, ...] = (
    "data_files:READ",
    "data_files:LENGTH",
    "data_files:CHANNEL",
    "data_rate:HEADER_RATE",
    "data_levels:LEVELS",
    "data_levels:SHORT",
    "data_holes:HOLES",
    "data_samples:SAMPLES",
    "data_relation:RELATION",
    "data_additive:ADDITIVE",
    "data_target:CONTENT_RATE",
    "data_target:TARGET_FLOOR",
    "data_target:TARGET_BAND",
    "data_pauses:PAUSES",
    "data_noise:REALISED_SNR",
    "data_noise:REPEATED_NOISE",
    "data_splits:DUPLICATES",
    "data_splits:SPLITS",
    "loss_oracle:ORACLE",
    "loss_descent:DESCENT",
    "loss_terms:TERMS",
    "loss_model:CONNECTED",
    "loss_model:ONE_BATCH",
    "adversarial:SKIPPED_STEPS",
    "adversarial:LABELS",
    "adversarial:CALIBRATION",
    "adversarial:IDLE",
    "adversarial:GAN_WEIGHT",
    "optimisation:LEARNED",
    "optimisation:BEST_EPOCH",
    "optimisation:RATE_DECAY",
    "rates:LOSS_RISES",
    "rates:MOVEMENT",
    "step_size:STEP_SIZE",
    "gradients:FINITE_LOSS",
    "gradients:LOSS_SCALE",
    "gradients:GRADIENTS",
    "gradients:LEFT_OUT",
    "generalisation:LOSS_AND_METRIC",
    "divergence:DIVERGENCE",
    "generalisation:OVERFITTING",
    "processes:RANKS",
    "processes:ORDER",
    "processes:BATCH",
    "processes:RESUME",
    "saved_state:SAVED_STATE",
    "processes:LOADER",
    "progress:RUN_LENGTH",
    "progress:REFERENCE",
    "averaging:MOVING_WEIGHTS",
    "averaging:AVERAGE",
    "averaging:AVERAGE_HISTORY",
    "average_loss:AVERAGE_LOSS",
    "raw_weights:RAW_WEIGHTS",
    "one_step:ONE_STEP",
    "sampler:SAMPLER",
    "condition_source:CONDITION_SOURCE",
    "conditioning:CONDITION",
    "conditioning:DROP",
    "guidance:GUIDANCE",
    "scores:NULL_LAW",
    "scores:POWER",
    "score_rows:ROWS",
    "score_values:RANGE",
    "score_values:REPEATS",
    "score_values:ANCHOR",
    "rescoring:RESCORING",
    "evaluation:PAIRS",
    "evaluation:SOUND",
    "output_place:PLACE",
    "output_seams:SEAMS",
    "output_seams:RIPPLE",
    "output_spectra:SPLICE",
    "output_spectra:BAND",
)
"""``module:NAME`` below this package."""


@cache
def checks() -> tuple[Check, ...]:
    """All checks."""
    found = []
    for line in CATALOGUE:
        module, _, name = line.partition(":")
        found.append(getattr(importlib.import_module(f"{__name__}.{module}"), name))
    return tuple(found)
