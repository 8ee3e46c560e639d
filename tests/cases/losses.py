"""Losses that are lowest at the target as a whole, with a second term that is not."""


def quieter_target(estimate, clean):
    """The second term compares with the target at a twentieth of its level."""
    return {"main": 5 * (estimate - clean).abs().mean(), "time": 0.2 * (estimate - clean / 20).abs().mean()}


def energy_prior(estimate, clean):
    """The second term prefers silence, as priors do on purpose."""
    return {"main": 5 * (estimate - clean).abs().mean(), "energy": 0.2 * estimate.abs().mean()}
