"""Corpora: where text comes from, how it is split, stored and packed."""

WORK = ".work"
"""Beside shards: the manifest, and what only an unfinished output needs."""

SLURM_JOB = "slurm_job.json"
"""In a work folder: the job that a scheduler was given."""

SUBMITTED = f"{WORK}/{SLURM_JOB}"
"""The same, in the folder of a stage that is not finished."""

INVALID_UTF8 = ("error", "replace", "skip")
"""What is done with a document that is not valid UTF-8."""
