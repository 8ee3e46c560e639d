"""What ``auscult ablate plan`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from auscult.ablate.plan import ArmPlan, LadderPlan


def arm_row(one: ArmPlan, planned: LadderPlan) -> list[str]:
    """A row of the table of arms: what it changes, its size, and what it costs."""
    from auscult.units import count

    rung, nets = one.rung, one.rehearsal.nets.values()
    differs = "; ".join(rung.change) + (f" (group: {rung.arm.group})" if rung.arm.group else "")
    step_flops, step_bytes = sum(net.step_flops for net in nets), sum(net.training_bytes for net in nets)
    costs = ["", "", _left(one, planned)] if rung.name in planned.shared else [
        f"{step_flops / 1e9:.3g}", f"{step_bytes / 2**20:.0f}", _left(one, planned)]  # fmt: skip
    return [
        rung.name + (" (control)" if rung.role == "control" else ""),
        "" if rung.role == "base" else rung.arm.parent,
        differs or f"the recipe, {rung.plan.training.steps} steps",
        count(sum(net.parameters for net in nets)),
        count(sum(net.frozen for net in nets)),
        f"{sum(net.flops for net in nets) / 1e9:.3g}",
        *costs,
    ]


def _left(one: ArmPlan, planned: LadderPlan) -> str:
    """Learning that is left, for all seeds."""
    from auscult.units import duration

    if owner := planned.shared.get(one.rung.name):
        return f"none: that of {owner}"
    left = one.left_s(planned.shared)
    steps = one.rung.plan.training.steps
    done = sum(step >= steps for step in one.done.values())
    some = f", {done} of {len(one.done)} done" if done else ""
    return f"unknown{some}" if left is None else f"{duration(left)}{some}"


def print_details(planned: LadderPlan) -> None:
    """Sizes of conditions, parameters that learn nothing, and where the times come from."""
    typer.echo()
    chains = dict.fromkeys(chain for one in planned.arms for chain in one.rehearsal.chains)
    for chain in chains:
        users = [one.rung.name for one in planned.arms if chain in one.rehearsal.chains]
        typer.echo(f"{', '.join(users)}: {chain}")
    for one in planned.arms:
        for name, net in one.rehearsal.nets.items():
            if net.call is not None and net.call.unreached:
                missed = f"{len(net.call.unreached)} tensors of {name} that no gradient reaches"
                typer.secho(f"{one.rung.name}: {missed}, the first {net.call.unreached[0]}", fg="yellow")
    for source in dict.fromkeys(one.speed for one in planned.arms if one.speed is not None):
        typer.echo(f"learning times from {source.source}: {source.items_per_s:.3g} items/s on {source.device}")
    typer.echo("GFLOP/s: of restoring one second; per step: one call forward and backward of every item, in fp32")


def as_data(planned: LadderPlan) -> dict[str, Any]:
    """The plan for programs."""
    arms = {}
    for one in planned.arms:
        nets = {name: {"parameters": net.parameters, "frozen": net.frozen, "calls": net.calls, "flops": net.flops,
                       "step_flops": net.step_flops, "training_bytes": net.training_bytes,
                       "unreached": list(net.call.unreached) if net.call else []}
                for name, net in one.rehearsal.nets.items()}  # fmt: skip
        differences = [{"leaf": d.leaf, "was": d.was, "now": d.now} for d in one.rung.differences]
        arms[one.rung.name] = {"role": one.rung.role, "parent": one.rung.arm.parent, "differences": differences,
                               "group": one.rung.arm.group, "nets": nets, "chains": one.rehearsal.chains,
                               "trained_with": planned.shared.get(one.rung.name, one.rung.name),
                               "steps_done": one.done, "left_s": one.left_s(planned.shared)}  # fmt: skip
    ladder = planned.ladder
    return {
        "ladder": ladder.name,
        "arms": arms,
        "seeds": ladder.seeds,
        "items": planned.items.count,
        "metric": ladder.metric,
        "margin": ladder.margin,
        "detectable": planned.detectable,
        "spread_from": planned.spread_from,
    }
