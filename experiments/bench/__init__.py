"""Speed and memory against plain baselines in the same process: ``make bench``."""
