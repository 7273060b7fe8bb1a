"""Sweeps: several runs in one command, and what became of each.

Hydra makes the jobs, and one of its launchers runs them: here one after the other, in processes
of this machine (joblib), on Slurm (submitit) or on Ray. A job that fails stops no other. Each one
notes in ``store/sweeps/<sweep>/<number>/job.json`` what became of it; from these notes the command
that began the sweep makes its summary, whoever ran the jobs. Results are stages in the store, so
the same command again runs only what is missing.
"""
