"""Benchmark cases of ``make bench``."""

from functools import partial

from experiments.bench import editing, evaluation, selection, training
from experiments.bench.compare import Case, Side

CASES = {
    # Many short rounds: the speed of a shared machine drifts within tens of seconds.
    "editing": Case(editing.forward, "model(input_ids).logits", 1.0, 24, memory=True),
    "training": Case(training.steps, "a bare PyTorch loop", 0.97, 8, warm=False, memory=True),
    "pretraining": Case(training.small_steps, "bare steps with dropout", 1.3, 6),
    "postprocessing": Case(editing.postprocessing, "a Python loop over dictionaries", 20.0, 20),
    "sweep": Case(editing.sweep, "a scoring pass for each of ten rules", 5.0, 3),
    **{
        name.split("_")[0]: Case(
            partial(evaluation.multiple_choice, name), "stock lm-eval", 3.0, rounds
        )
        for name, rounds in (
            ("medqa_en", 4),
            ("medmcqa_en", 6),
            ("piqa_validation", 6),
            ("hellaswag_validation", 4),
        )
    },
    "perplexity": Case(evaluation.rolling, "stock lm-eval, rolling windows", 1.0, 4),
    "ngrams": Case(selection.ngrams, "the package data-selection", 1.5, 12),
    "dsir": Case(selection.dsir, "the package data-selection", 4.0, 6),
}


def side_of(name: str, side: int) -> Side:
    """Prepare our side (0) or the baseline (1) of a case."""
    ours, baseline, _ = CASES[name].make()
    return (ours, baseline)[side]
