"""Measurements of recordings and of pairs: pure functions of arrays; what they mean is for the doctor to say."""
