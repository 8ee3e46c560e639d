"""Losses compare (estimate, target) in one declared domain and are zero at the perfect estimate."""
