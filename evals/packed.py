"""Log-probabilities of options after their prompts, several items in one forward pass.

A prompt is read once for all of its options: they follow it side by side, each with the positions
that it would have alone, and an attention mask lets an option see its prompt and itself. Several
such items share a pass in the same way, without padding, and the output layer runs only where a
token of an option is predicted. Stock lm-eval reads the prompt once per option, pads, and computes
the logits of all tokens.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import islice
from typing import Any

import torch

PASS_TOKENS = 512
"""Maximum tokens of a forward pass with more than one item; attention grows with its square."""

Request = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens of a prompt and of an option."""


@dataclass(frozen=True)
class Item:
    """A prompt of at least one token and its options, each of at least one."""

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.prompt) + sum(len(option) - 1 for option in self.options)


def is_packable(model: Any) -> bool:
    """Whether a model of transformers takes any attention mask, and only needed logits."""
    config = model.config.get_text_config()
    return (
        config._attn_implementation == "sdpa"
        and not getattr(config, "sliding_window", None)
        and {"logits_to_keep", "position_ids"} <= set(signature(model.forward).parameters)
    )


def read_of(prompt: Sequence[int], option: Sequence[int], most: int) -> Request:
    """A prompt and an option, of which a model reads at most ``most`` tokens.

    The beginning of the prompt is cut, as lm-eval does. The last token is predicted, not read.
    """
    kept = tuple(prompt)[-(most + 1 - len(option)) :]
    return kept, tuple(option)


def logprobs(model: Any, requests: Sequence[Request], most: int = 1) -> list[tuple[float, bool]]:
    """Score options given their prompts.

    Args:
        model: a causal language model that is :func:`is_packable`.
        requests: prompts and options; of options with equal prompts the prompt is read once.
        most: maximum items, a prompt with its options, in a forward pass.

    Returns:
        For each request the sum of the natural log-probabilities of the option's tokens, and
        whether each of them is the most probable one.
    """
    options: dict[tuple[int, ...], dict[tuple[int, ...], None]] = defaultdict(dict)
    for prompt, option in requests:
        options[prompt][option] = None
    items = [Item(prompt, tuple(those)) for prompt, those in options.items()]
    found: dict[Request, tuple[float, bool]] = {}
    for batch in passes(items, most):
        for item, scores in zip(batch, option_logprobs(model, batch), strict=True):
            found.update(zip(((item.prompt, o) for o in item.options), scores, strict=True))
    return [found[request] for request in requests]


def passes(items: Sequence[Item], most: int) -> Iterator[list[Item]]:
    """Divide items among forward passes of at most ``most`` items, longest first."""
    batch: list[Item] = []
    for item in sorted(items, key=len, reverse=True):
        tokens = sum(map(len, batch)) + len(item)
        if batch and (len(batch) == most or tokens > PASS_TOKENS):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def option_logprobs(model: Any, items: Sequence[Item]) -> list[list[tuple[float, bool]]]:
    """Score the options of some items in one forward pass.

    Args:
        model: a causal language model that is :func:`is_packable`.
        items: prompts and options.

    Returns:
        For each option of each item the sum of its tokens' natural log-probabilities, and whether
        each of its tokens is the most probable one.
    """
    ids: list[int] = []
    positions: list[int] = []
    item_of: list[int] = []
    option_of: list[int] = []  # 0 in a prompt
    rows: list[int] = []  # that predict the tokens of all options
    targets: list[int] = []
    for number, item in enumerate(items):
        length = len(item.prompt)
        last = len(ids) + length - 1
        ids += item.prompt
        positions += range(length)
        option_of += [0] * length
        for branch, option in enumerate(item.options, 1):
            rows += [last, *range(len(ids), len(ids) + len(option) - 1)]
            targets += option
            ids += option[:-1]
            positions += range(length, length + len(option) - 1)
            option_of += [branch] * (len(option) - 1)
        item_of += [number] * (len(ids) - len(item_of))

    def tensor(values: Sequence[int]) -> torch.Tensor:
        return torch.tensor(values, device=model.device)

    items_at, options_at = tensor(item_of), tensor(option_of)
    sees = (items_at[:, None] == items_at).tril_()
    sees &= (options_at == 0) | (options_at[:, None] == options_at)
    kept, row = tensor(rows).unique(return_inverse=True)
    logits = model(
        tensor(ids)[None],
        attention_mask=sees[None, None],
        position_ids=tensor(positions)[None],
        logits_to_keep=kept,
        use_cache=False,
    ).logits[0].float()  # fmt: skip
    target = tensor(targets)
    scores = logits[row, target] - logits.logsumexp(dim=1)[row]
    likely = logits.argmax(dim=1)[row] == target
    lengths = [len(option) for item in items for option in item.options]
    found = zip(scores.cpu().split(lengths), likely.cpu().split(lengths), strict=True)
    answers = [(float(option.double().sum()), bool(greedy.all())) for option, greedy in found]
    remaining = iter(answers)
    return [list(islice(remaining, len(item.options))) for item in items]
