"""Measurements that checks are made of: pure functions of arrays; what they mean, the checks say."""
