"""Benchmarks: each prints ours, the baseline, their ratio, the bar, and whether it is met."""
