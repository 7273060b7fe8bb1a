"""The former place of :mod:`toedit.priors.loading`, for programs that import from here."""

from toedit.priors.loading import load_model, load_tokenizer

__all__ = ["load_model", "load_tokenizer"]
