"""Text written by a model: what it is asked, and how its answer is sampled."""

from toedit.synthesis.prompts import Request, requests
from toedit.synthesis.settings import Synthesis

__all__ = ["Request", "Synthesis", "requests"]
