"""Loading a causal language model and its tokenizer: embedded, from a folder, or from the hub.

Weights are read from safetensors only and no code of a checkpoint is ever run.
"""

from pathlib import Path
from typing import Any

from toedit.errors import UserError, require_choice

EMBEDDED = "embedded"
DTYPES = ("float32", "bfloat16", "float16")


def embedded_revision(name: str) -> str | None:
    """What identifies the embedded model; None for any other."""
    from toedit.embedded import model_revision

    return model_revision() if name == EMBEDDED else None


def locate_model(name: str) -> str:
    """Folder or hub id of a model; ``embedded`` is fetched and converted on first use."""
    if name == EMBEDDED:
        from toedit.embedded import model_folder

        return str(model_folder())
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise UserError(
            f"model folder {name!r} does not exist; allowed: {EMBEDDED!r}, a folder, or a hub id"
        )
    return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """The fast tokenizer of a model.

    Args:
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            locate_model(name), revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _cannot_load("tokenizer", name, error) from error


def load_model(
    name: str, revision: str | None = None, dtype: str = "float32", device: str = "cpu"
) -> Any:
    """A causal language model in evaluation mode.

    Args:
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        dtype: ``float32``, ``bfloat16`` or ``float16``: the dtype of its weights.
        device: a torch device.

    Raises:
        UserError: it cannot be found or read.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    require_choice("dtype", dtype, DTYPES)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            locate_model(name),
            revision=revision,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,  # None would ask on the terminal
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise _cannot_load("model", name, error) from error
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"device={device!r} cannot be used ({reason}); try device=cpu") from error


def model_limits(name: str, revision: str | None = None) -> tuple[int, int | None]:
    """Rows of a model's output layer and the longest input, from its configuration alone.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            locate_model(name), revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _cannot_load("configuration", name, error) from error
    return config.vocab_size, getattr(config, "max_position_embeddings", None)


def _cannot_load(what: str, name: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return UserError(f"cannot load the {what} in {name!r}: {reason}", folder)
    return UserError(
        f"cannot load the {what} {name!r}: {reason} "
        f"(without a network use {EMBEDDED!r} or a folder that holds the model as safetensors)"
    )
