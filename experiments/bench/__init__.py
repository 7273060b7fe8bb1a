"""Benchmarks of speed and memory against plain baselines: ``make bench``."""
