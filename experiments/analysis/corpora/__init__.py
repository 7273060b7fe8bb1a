"""Estimates about corpora: perplexities, words, densities and neighbours of documents.

What is a mean of documents has the error of a mean (``means``); what is not is resampled
(``resampling``). The other modules read what stages measured on each document.
"""
