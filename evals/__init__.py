"""Evaluation on benchmarks and held-out text; imports nothing but ``toedit``."""
