"""Character offsets that cover the whole text of each token."""

import copy
import json
from functools import lru_cache
from typing import Any

from toedit.errors import UserError


@lru_cache(maxsize=4)
def exact_offsets(tokenizer: Any) -> Any:
    """Return a tokenizer with the same tokens whose offsets cover all of their text.

    GPT-NeoX's and RoBERTa's leave spaces out (``trim_offsets``). Their post-processor does so, and
    nothing else to a text that gets no special tokens, so the copy has none.

    Args:
        tokenizer: a tokenizer of transformers; call the result with ``add_special_tokens=False``.

    Raises:
        UserError: it has no fast version, and so no offsets.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"the tokenizer {type(tokenizer).__name__} has no fast version, so its tokens cannot "
            "be placed in the text; use a model with a tokenizer.json"
        )
    if '"trim_offsets": true' not in json.dumps(json.loads(backend.to_str())["post_processor"]):
        return tokenizer
    exact = copy.deepcopy(tokenizer)
    exact.backend_tokenizer.post_processor = None
    return exact
