"""What an edit would cost and change, and the threshold of ``--target-changed``, from a sample."""

import argparse
from dataclasses import replace

from toedit import terminal
from toedit.commands import shares
from toedit.commands.sample import TOKENS, Sample, sampling
from toedit.commands.stored import StoredScores, options
from toedit.editor import candidates_for
from toedit.priors.base import CandidateRange
from toedit.rules import EditRule

TARGET_TOKENS = 10_000
"""Tokens of the sample in which a threshold is searched."""


def dry_run(arguments: argparse.Namespace, rule: EditRule, stored: StoredScores | None) -> str:
    """What a dry run prints: size and time, what the rule would change, and what others would."""
    is_search = arguments.target_changed is not None
    need = _everywhere(rule) if is_search else candidates_for(rule).including(shares.TABLE)
    with sampling():
        sample = Sample(arguments, need, TARGET_TOKENS if is_search else TOKENS, stored)
    lines, scored, vocabulary = [sample.describe()], sample.scored, sample.vocabulary
    if vocabulary is None:
        return f"{lines[0]}\nnothing is scored: with --device, large models and vLLM are not loaded"
    if is_search:
        rule = _searched(arguments, rule, sample, stored)
        lines += _hints(sample, need)
    lines.append(shares.line(scored, rule, vocabulary))
    if stored is None or stored.candidates.covers(shares.TABLE):
        lines.append(shares.table(scored, vocabulary))
    return "\n".join(lines)


def search(arguments: argparse.Namespace, rule: EditRule, stored: StoredScores | None) -> EditRule:
    """The rule with the threshold of ``--target-changed``, which is printed."""
    need = _everywhere(rule)
    scored = "which is scored first" if stored is None else "whose scores are stored"
    with sampling():
        terminal.note(f"looking for the threshold in a sample, {scored} …")
        sample = Sample(arguments, need, TARGET_TOKENS, stored)
    rule = _searched(arguments, rule, sample, stored)
    assert sample.vocabulary is not None
    for hint in _hints(sample, need):
        terminal.note(hint)
    terminal.show(
        f"--target-changed {100 * arguments.target_changed:g}%: --threshold {rule.threshold:.16g}"
    )
    terminal.show(shares.line(sample.scored, rule, sample.vocabulary))
    return rule


def _hints(sample: Sample, need: CandidateRange) -> list[str]:
    """How to score once, where the sample is all of the inputs.

    Its scores are not those of the edit, which scores whole documents in groups of a unit: other
    batches round otherwise.
    """
    if not sample.is_whole:
        return []
    return [
        "the sample is all of the inputs, which an edit scores again: for several rules, run "
        f"toedit score INPUT --output SCORES {options(need)} once, then toedit edit --scores SCORES"
    ]


def _searched(
    arguments: argparse.Namespace, rule: EditRule, sample: Sample, stored: StoredScores | None
) -> EditRule:
    assert sample.vocabulary is not None
    lowest = shares.LOWEST
    if stored is not None and not stored.candidates.covers(_everywhere(rule)):
        lowest = stored.candidates.above or 1.0
    target = arguments.target_changed
    threshold = shares.threshold_for(sample.scored, rule, sample.vocabulary, target, lowest)
    return replace(rule, threshold=threshold)


def _everywhere(rule: EditRule) -> CandidateRange:
    """Candidates at every token, for a rule and for the table."""
    return CandidateRange(max(candidates_for(rule).k, shares.TABLE.k), 1.0, 1.0)
