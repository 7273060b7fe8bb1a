"""Imported once by the fork server of the tests: what every command line would import again."""

# ruff: noqa: F401
import datasets
import hydra
import transformers.models.auto.modeling_auto
import transformers.models.llama.modeling_llama

import experiments.compose
import experiments.paper.report
import experiments.paper.results
import experiments.run
import experiments.runner
import experiments.store.__main__
import experiments.training.worker
import toedit.__main__
import toedit.pipeline
