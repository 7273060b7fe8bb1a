"""Corpora: read, split, mix, tokenize, store and pack documents."""

WORK = ".work"
"""Folder next to shards: the manifest, and files that only an unfinished output needs."""

SHARDS = "shards"
"""Folder of the shards that a pipeline writes."""

SLURM_JOB = "slurm_job.json"
"""File in a work folder that holds the id of a submitted Slurm job."""

SUBMITTED = f"{WORK}/{SLURM_JOB}"
"""Path of that file in the folder of an unfinished stage."""

INVALID_UTF8 = ("error", "replace", "skip")
"""Policies for a document that is not valid UTF-8."""

MISSING_TEXT = ("error", "keep", "skip")
"""Policies for a record whose text is null or missing."""
