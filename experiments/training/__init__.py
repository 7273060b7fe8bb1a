"""Training: the Hugging Face Trainer, fed by packed blocks."""

BLOCKS = "blocks.npy"
CHECKPOINTS = "checkpoints"
JOB = "job.json"
PACKING = "packing.json"
"""Names inside a training folder; here, because importing the worker imports torch."""
