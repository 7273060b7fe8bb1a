"""Stages of experiments, one module per kind: ``stage(...)`` plans one, ``run`` does its work."""
