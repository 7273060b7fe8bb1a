"""Training: the Hugging Face Trainer, fed by packed blocks."""
