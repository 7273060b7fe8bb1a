"""Synthetic text: prompts for a model, and sampling of its answers."""

from toedit.synthesis.prompts import Request, requests
from toedit.synthesis.settings import Synthesis

__all__ = ["Request", "Synthesis", "requests"]
