"""Faults of loaders, losses and training loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.doctor.fault import Fault
from benchmarks.doctor.spec import Training


def source(name: str) -> Callable[[float], Training]:
    """A habit of the data source."""
    return lambda amount: Training(source=(name, amount))


def loss(name: str, term: int | None = 0) -> Callable[[float], Training]:
    """A habit of a term of the loss; None: of all."""
    return lambda amount: Training(loss=(name, amount), term=term)


def slip(name: str, *settings: str, resumed: bool = False) -> Callable[[float], Training]:
    """A slip of the loop."""
    return lambda amount: Training(settings=settings, patch=(name, amount), resumed=resumed)


def setting(*names: str) -> Callable[[float], Training]:
    """Settings; ``{}`` stands for the severity."""
    return lambda amount: Training(settings=tuple(name.format(amount) for name in names))


UNRELATED = ("independent-crops", "unrelated-pairs", "varying-lag", "input-not-related")
MISALIGNED = ("target-misaligned", "loss-floor")
loader, lost, run = (
    partial(Fault, material="loader"),
    partial(Fault, material="loss"),
    partial(Fault, material="run"),
)
hidden = partial(run, in_history=False)
"""Faults that no history of loss, rate, norm and validation scores shows."""
LOADERS: tuple[Fault, ...] = (
    loader("independent-crops", accepted=UNRELATED, severities=(1,), inject=source("independent-crops")),
    loader("late-noisy", accepted=("lag", "varying-lag"), severities=(64, 1600), inject=source("late-noisy")),
    loader("jittered", accepted=("varying-lag", "independent-crops", "lag"), severities=(200, 3000),
           inject=source("jittered")),
    loader("other-item", accepted=("unrelated-pairs", "independent-crops", "input-not-related"), severities=(0.2, 1.0),
           inject=source("other-item")),
    loader("swapped-returns", accepted=("swapped-sides",), severities=(1,), inject=source("swapped-returns")),
    loader("peaks-apart", accepted=("pair-gain",), severities=(0.95,), inject=source("peaks-apart")),
    loader("stretched", accepted=("wrong-rate",), severities=(1.378, 3.0), inject=source("stretched")),
    loader("padded", accepted=("short-items", "silent-items"), severities=(0.5, 0.85), inject=source("padded")),
    loader("lost-noise", accepted=("no-noise",), severities=(1,), inject=source("lost-noise")),
    loader("turned-over", accepted=("polarity",), severities=(1,), inject=source("turned-over")),
    loader("same-crop", accepted=("same-order", "repeated-noise", "duplicates"), severities=(1, 8),
           inject=source("same-crop"), unseen=True),
    loader("upside-down", accepted=("unrelated-pairs", "independent-crops", "input-not-related"), severities=(1,),
           inject=source("upside-down"), unseen=True),
)  # fmt: skip
LOSSES: tuple[Fault, ...] = (
    lost("other-level", accepted=("target-scale", "loss-floor"), severities=(0.5, 5.0), inject=loss("other-level")),
    lost("own-peak", accepted=("target-scale", "loss-floor"), severities=(1,), inject=loss("own-peak")),
    lost("negated", accepted=("loss-sign",), severities=(1,), inject=loss("negated", None)),
    lost("one-negated", accepted=("loss-sign", "contradictory-terms"), severities=(1,), inject=loss("negated", 1)),
    lost("shifted-target", accepted=MISALIGNED, severities=(16, 256), inject=loss("shifted-target", None)),
    lost("neighbours-target", accepted=(*MISALIGNED, "unrelated-pairs"), severities=(1,),
         inject=loss("neighbours-target", None)),
    lost("detached", accepted=("loss-ignores-estimate", "model-disconnected"), severities=(1,),
         inject=loss("detached", None)),
    lost("one-detached", accepted=("loss-ignores-estimate",), severities=(1,), inject=loss("detached", 0)),
    lost("overweight", accepted=("term-dominates",), severities=(100, 3000), inject=loss("overweight", 1)),
    lost("quieted", accepted=("loss-floor", "target-scale", "target-misaligned"), severities=(0.1, 0.6),
         inject=loss("quieted", None)),
    lost("averaged", accepted=("loss-floor", "target-misaligned", "contradictory-terms"), severities=(1,),
         inject=loss("averaged", None)),
    lost("backwards", accepted=MISALIGNED, severities=(1,), inject=loss("backwards", None), unseen=True),
)  # fmt: skip
DEAD = ("never-learned", "model-disconnected", "frozen-module", "plateau", "low-metric", "loss-at-trivial")
RUNS: tuple[tuple[str, Fault], ...] = (
    ("regression", run("train-independent", accepted=(*UNRELATED, "never-learned"), severities=(1,),
                       inject=source("independent-crops"))),
    ("regression", run("train-negated", accepted=("loss-sign",), severities=(1,), inject=loss("negated", None))),
    ("regression", hidden("train-other-level", accepted=("target-scale", "loss-floor"), severities=(0.3,),
                       inject=loss("other-level", None))),
    ("regression", run("rate-too-high", accepted=("rate-too-high", "exploding-gradients", "not-finite-loss"),
                       severities=(0.3, 3.0), inject=setting("optimiser.lr={}", "training.clip_norm=null"))),
    ("regression", run("rate-too-low", accepted=("rate-too-low", "run-too-short", "never-learned"),
                       severities=(1e-5, 1e-7), inject=setting("optimiser.lr={}"))),
    ("regression", run("rate-decays-out", accepted=("rate-decayed-out", "plateau", "never-learned"),
                       severities=(6.0,), inject=setting(
                           "schedule={{type: StepDecay, every: {:.0f}, gamma: 0.5}}"))),
    ("regression", run("clip-too-low", accepted=("clipped-always", "rate-too-low"), severities=(1e-4,),
                       inject=setting("training.clip_norm={}", "optimiser.algorithm=sgd", "optimiser.lr=0.1"))),
    ("regression", run("overfitting", accepted=("overfitting", "early-best"), severities=(40,),
                       inject=source("same-crop"))),
    ("regression", run("average-never-moves", accepted=("ema-frozen", "ema-too-slow"), severities=(1,),
                       inject=slip("average-never-moves"))),
    ("regression", run("average-too-slow", accepted=("ema-too-slow", "ema-frozen"), severities=(0.9999,),
                       inject=slip("average-without-warm-up"))),
    ("regression", run("swap-not-undone", accepted=("swap-not-undone",), severities=(1,),
                       inject=slip("swap-not-undone", "training.ema_decay=0.995"))),
    ("regression", run("optimiser-of-another-net", accepted=DEAD, severities=(1,),
                       inject=slip("optimiser-of-another-net"))),
    ("regression", hidden("part-left-out", accepted=("frozen-module",), severities=(0.3, 0.8),
                       inject=slip("part-left-out"))),
    ("regression", hidden("same-order", accepted=("same-order", "repeated-noise"), severities=(1,),
                       inject=slip("same-order"))),
    ("regression", run("state-lost", accepted=("lost-state", "loss-jump"), severities=(1,),
                       inject=slip("state-lost", resumed=True))),
    ("regression", run("gradients-turned-over", accepted=("loss-sign", "rate-too-high", "never-learned",
                                                          "exploding-gradients"), severities=(1,),
                       inject=slip("gradients-turned-over"))),
    ("regression", run("gradient-spikes", accepted=("exploding-gradients", "clipped-always"), severities=(1e4,),
                       inject=slip("gradient-spikes", "training.clip_norm=null", "optimiser.algorithm=sgd",
                                   "optimiser.lr=0.05"))),
    ("regression", run("gradients-accumulate", accepted=("rate-too-high", "exploding-gradients", "clipped-always"),
                       severities=(1,), inject=slip("gradients-accumulate"), unseen=True)),
    ("gan", run("level-defect", accepted=("target-scale", "loss-floor", "loss-metric-divergence"), severities=(1,),
                inject=setting("method.reproduce_published_level_defect=true"))),
    ("gan", hidden("labels-averaged", accepted=("labels-averaged", "discriminator-uncalibrated"), severities=(1,),
                inject=slip("labels-averaged"))),
    ("gan", hidden("labels-fail", accepted=("discriminator-skipped", "labels-failed"), severities=(0.3,),
                inject=slip("labels-fail"))),
    ("gan", run("discriminator-idle", accepted=("discriminator-uncalibrated", "discriminator-collapsed",
                                                "frozen-module", "rate-too-low"), severities=(1e-9,),
                inject=setting("optimiser.discriminator.lr={}"))),
    ("gan", run("adversary-too-strong", accepted=("gan-weight", "term-dominates"), severities=(50.0,),
                inject=setting("method.adversarial={}"))),
    ("gan", hidden("labels-of-others", accepted=("discriminator-uncalibrated", "labels-averaged", "labels-failed"),
                severities=(1,), inject=slip("labels-of-others"), unseen=True)),
    ("score", run("score-negated", accepted=("loss-sign", "parametrisation", "never-learned"), severities=(1,),
                  inject=slip("gradients-turned-over"))),
    ("score", hidden("score-independent", accepted=UNRELATED, severities=(1,), inject=source("independent-crops"))),
    ("conditioned", hidden("injection-frozen", accepted=("condition-ignored", "condition-no-gradient", "frozen-module",
                                                      "condition-collapsed"), severities=(1,),
                        inject=setting('optimiser.freeze=["cond.injections.*"]'))),
    ("conditioned", hidden("reference-overlaps", accepted=("condition-leaks",), severities=(1,),
                        inject=setting("data.origin=overlapping", "validation.data.origin=overlapping"))),
    ("conditioned", hidden("always-dropped", accepted=("drop-out-off", "condition-ignored", "condition-no-gradient"),
                        severities=(0.98,), inject=setting("method.conditioning.drop={}"))),
    ("conditioned", hidden("guided-untrained", accepted=("null-untrained", "guidance-too-strong", "drop-out-off"),
                        severities=(3.0,), inject=setting("method.conditioning.drop=0.001",
                                                          "method.conditioning.guidance_scale={}"))),
    ("conditioned", hidden("told-the-same", accepted=("condition-collapsed", "condition-ignored",
                                                      "condition-redundant"), severities=(1,),
                           inject=source("told-the-same"), unseen=True)),
    ("bridge", hidden("bridge-stretched", accepted=("wrong-rate",), severities=(3.0,), inject=source("stretched"))),
    ("bridge", run("bridge-dead", accepted=DEAD, severities=(1,), inject=slip("optimiser-of-another-net"))),
)  # fmt: skip
"""With the recipe that each is trained by."""
STARTS_FROM = {"score": "score", "bridge": "bridge", "conditioned": "score"}
"""Recipes whose runs are too short to begin with nothing, and the recipe of the weights that they begin with."""
RECIPE_OF = {fault.name: recipe for recipe, fault in RUNS}
