"""Corpora: where text comes from, how it is split, stored and packed."""
