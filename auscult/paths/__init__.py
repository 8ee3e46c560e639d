"""Diffusion paths: marginals, drifts and priors between clean and noisy; no weights."""
