"""Sweeps: run several jobs with one command and summarize them.

Hydra makes the jobs, and one of its launchers runs them: here one after the other, in processes
of this machine (joblib), on Slurm or on Ray. In a search Optuna chooses them. A job that fails
stops no other. Each writes its status to ``store/sweeps/<sweep>/<number>/job.json``; from these
files the command that began the sweep makes a summary, for every launcher. Results are stages in
the store, so the same command again runs only what is missing.
"""
