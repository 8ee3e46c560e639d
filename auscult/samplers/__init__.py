"""Samplers: from the prior to a clean estimate. Each is one function with its whole loop in view."""
