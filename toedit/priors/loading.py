"""Load a causal language model and its tokenizer: embedded, from a folder, or from the hub.

Weights are read from safetensors only, and no code of a checkpoint is run.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from toedit.errors import UserError, require_choice, short

EMBEDDED = "embedded"
DTYPES = ("float32", "bfloat16", "float16")


def embedded_revision(name: str) -> str | None:
    """Return the revision of the embedded model; None for any other."""
    from toedit.embedded import model_revision

    return model_revision() if name == EMBEDDED else None


def locate_model(name: str) -> str:
    """Return the folder or hub id of a model; ``embedded`` is downloaded on first use."""
    if name == EMBEDDED:
        from toedit.embedded import model_folder

        return str(model_folder())
    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise UserError(
            f"model folder {name!r} does not exist; allowed: {EMBEDDED!r}, a folder, or a hub id"
        )
    return str(folder) if folder.is_dir() else name


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """Load the fast tokenizer of a model, at a commit if it is on the hub.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoTokenizer

    return _from_pretrained("tokenizer", AutoTokenizer, name, revision)


def load_model(
    name: str, revision: str | None = None, dtype: str = "float32", device: str = "cpu"
) -> Any:
    """Load a causal language model in evaluation mode.

    Args:
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        dtype: dtype of the weights, one of :data:`DTYPES`.
        device: a torch device.

    Raises:
        UserError: it cannot be found or read.
    """
    import torch
    from transformers import AutoModelForCausalLM

    require_choice("dtype", dtype, DTYPES)
    options = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    model = _from_pretrained("model", AutoModelForCausalLM, name, revision, **options)
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={device!r} cannot be used ({short(error, 120)}); try device=cpu"
        ) from error


def model_commit(name: str, revision: str | None = None) -> str | None:
    """Return the commit of a hub model: the newest, or without a network that of the cache.

    Raises:
        UserError: there is no such model.
    """
    from transformers.utils.hub import cached_file, extract_commit_hash

    for file in ("tokenizer_config.json", "config.json", "tokenizer.json"):
        with suppress(OSError):
            path = cached_file(locate_model(name), file, revision=revision)
            if commit := extract_commit_hash(path, None):
                return commit
    load_tokenizer(name, revision)  # which says why not
    return None


def model_limits(name: str, revision: str | None = None) -> tuple[int, int | None]:
    """Return the rows of a model's output layer and its longest input, from its configuration.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoConfig

    config = _from_pretrained("configuration", AutoConfig, name, revision)
    return config.vocab_size, getattr(config, "max_position_embeddings", None)


def _from_pretrained(what: str, kind: Any, name: str, revision: str | None, **options: Any) -> Any:
    from safetensors import SafetensorError

    try:
        return kind.from_pretrained(
            locate_model(name),
            revision=revision,
            trust_remote_code=False,  # None would ask on the terminal
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        folder = Path(name).expanduser()
        if folder.is_dir():
            message = f"cannot load the {what} in {name!r}: {short(error, 200)}"
            raise UserError(message, folder) from error
        raise UserError(
            f"cannot load the {what} {name!r}: {short(error, 200)} "
            f"(without a network use {EMBEDDED!r} or a folder that holds the model as safetensors)"
        ) from error
