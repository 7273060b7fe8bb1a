"""Estimate statistics of corpora, with intervals, from what stages measured of each document."""
