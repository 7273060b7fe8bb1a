"""Benchmarks and held-out text: the second floor, which may use ``toedit`` and nothing above."""
