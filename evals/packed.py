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
from weakref import WeakKeyDictionary

import torch

PASS_TOKENS = 512
"""Maximum tokens of a forward pass with more than one item; attention grows with its square."""

PROBED = {True: 1e-3, False: 0.2}
"""Difference in nats between an option packed and alone that rounding explains, in float32 and in
half precision."""

WINDOWED = ("sliding_window", "attention_chunk_size", "local_attention")
"""Fields of a configuration by which attention is limited to near tokens, of which a few show
nothing."""

Request = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens of a prompt and of an option."""


@dataclass(frozen=True)
class Item:
    """A prompt of at least one token and its options, each of at least one."""

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.prompt) + sum(len(option) - 1 for option in self.options)


_packable: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def is_packable(model: Any) -> bool:
    """Whether a model of transformers finds the same log-probabilities for packed items.

    It does if all that lets a token see another is attention under the mask that it is given, which
    is tried with a few tokens: layers with a state, as in Mamba, see all tokens before.
    """
    if model not in _packable:
        config = model.config.get_text_config()
        _packable[model] = (
            config._attn_implementation == "sdpa"
            and not any(getattr(config, name, None) for name in WINDOWED)
            and {"logits_to_keep", "position_ids"} <= set(signature(model.forward).parameters)
            and _is_same(model)
        )
    return _packable[model]


@torch.inference_mode()
def _is_same(model: Any) -> bool:
    """Whether packed items score as each option alone."""
    items = [Item((1, 2, 3), ((4, 5, 6), (7, 8), (5,))), Item((9, 7), ((3, 2), (8, 1, 4)))]
    try:
        packed = option_logprobs(model, items)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    most = PROBED[model.dtype == torch.float32]
    for item, scores in zip(items, packed, strict=True):
        for option, (score, _) in zip(item.options, scores, strict=True):
            ids = torch.tensor([[*item.prompt, *option]], device=model.device)
            logits = model(ids[:, :-1], use_cache=False).logits[0, -len(option) :].float()
            alone = logits.log_softmax(1).gather(1, ids[0, -len(option) :, None]).sum()
            if not abs(float(alone) - score) <= most:
                return False
    return True


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
    # As lm-eval: another way to normalise, of which some are nearer, has another rounding.
    scores = logits.log_softmax(dim=1)[row, target]
    likely = logits.argmax(dim=1)[row] == target
    lengths = [len(option) for item in items for option in item.options]
    found = zip(scores.cpu().split(lengths), likely.cpu().split(lengths), strict=True)
    answers = [(float(option.sum()), bool(greedy.all())) for option, greedy in found]
    remaining = iter(answers)
    return [list(islice(remaining, len(item.options))) for item in items]
