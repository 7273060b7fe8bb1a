"""Load models and tokenizers of transformers: embedded, from a folder, or from the hub.

Weights are read from safetensors only, no code of a checkpoint is run, and a model is refused
unless its files hold all of its weights: the library would fill in random numbers. Files that
cannot be loaded end in one line, whatever the library raises for them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from toedit.errors import UserError, environment_problem, require_choice, short
from toedit.hub import MODEL, commit_of, hub_problem, split_revision
from toedit.network import cache_if_unreachable
from toedit.priors.checkpoint import check_files, listed
from toedit.user_paths import user_path

EMBEDDED = "embedded"
DTYPES = ("float32", "bfloat16", "float16")

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings")
"""Fields of a configuration that are whole numbers, where it has them."""

LARGEST_SIZE = 10**8

GAPS = 1 << 20
"""Token ids that a tokenizer may leave unused."""


def embedded_revision(name: str) -> str | None:
    """Return the revision of the embedded model; None for any other."""
    from toedit.embedded import model_revision

    return model_revision() if name == EMBEDDED else None


def locate_model(name: str) -> str:
    """Return the folder or hub id of a model, with its revision if that stands behind an ``@``;
    ``embedded`` is downloaded on first use."""
    if name == EMBEDDED:
        from toedit.embedded import model_folder

        return str(model_folder())
    folder = Path(user_path(name, "model "))
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise UserError(
            f"model folder {name!r} does not exist; allowed: {EMBEDDED!r}, a folder, or a hub id"
        )
    special = [p for p in folder.glob("*") if p.exists() and not (p.is_file() or p.is_dir())]
    if special:  # a pipe would never end
        raise UserError(f"the model in {name!r} holds {special[0].name!r}, which is no file")
    return str(folder) if folder.is_dir() else name


def located(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Return the folder or hub id of a model, and the commit at which it is loaded.

    Raises:
        UserError: it does not exist, or may not be read.
    """
    place, revision = split_revision(locate_model(name), revision)
    if os.path.isdir(place):
        return place, None
    return place, commit_of(MODEL, place, revision) or revision


def pinned_model(name: str, revision: str | None = None) -> str:
    """Return ``ID@COMMIT`` of a hub model whose commit is known; any other name unchanged.

    Raises:
        UserError: it does not exist, or may not be read.
    """
    place, commit = located(name, revision)
    return name if name == EMBEDDED or os.path.isdir(place) or not commit else f"{place}@{commit}"


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """Load the fast tokenizer of a model, at a commit if it is on the hub.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoTokenizer

    with explain_loading("tokenizer", name):
        place, commit = located(name, revision)
        tokenizer = AutoTokenizer.from_pretrained(place, revision=commit, trust_remote_code=False)
        tokenizer("")  # a setting of a wrong type fails at the first text
        rows = rows_for(tokenizer)
        if rows > len(tokenizer) + GAPS:
            raise ValueError(f"it has {len(tokenizer)} tokens but ids up to {rows - 1}")
    return tokenizer


def rows_for(tokenizer: Any) -> int:
    """Rows of an embedding for every token of a tokenizer, whose ids may have gaps."""
    return max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=-1))


def load_config(name: str, revision: str | None = None, what: str = "configuration") -> Any:
    """Load the configuration of a model.

    Raises:
        UserError: it cannot be found or read.
    """
    from transformers import AutoConfig

    with explain_loading(what, name):
        place, commit = located(name, revision)
        config = AutoConfig.from_pretrained(place, revision=commit, trust_remote_code=False)
        for field in SIZES:
            size = getattr(config, field, None)
            if size is not None and (type(size) is not int or not 0 <= size <= LARGEST_SIZE):
                raise ValueError(f"{field}={size!r} in its config.json is no size")
    return config


def model_limits(name: str, revision: str | None = None) -> tuple[int, int | None]:
    """Return the rows of a model's output layer and its longest input, from its configuration.

    Raises:
        UserError: it cannot be found or read.
    """
    config = load_config(name, revision)
    if getattr(config, "vocab_size", None) is None:
        raise UserError(f"the model {name!r} has no vocab_size in its config.json")
    return config.vocab_size, getattr(config, "max_position_embeddings", None)


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
        UserError: it cannot be found or read, or lacks weights.
    """
    import torch

    require_choice("dtype", dtype, DTYPES)
    model = load_weights("AutoModelForCausalLM", name, revision, dtype=getattr(torch, dtype))
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"device={device!r} cannot be used ({short(error, 120)}); try device=cpu"
        ) from error


def count_weights(name: str, revision: str | None = None) -> int:
    """Count the weights that each token is multiplied by, from the configuration alone.

    Raises:
        UserError: it cannot be found or read.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from toedit.priors.hf import multiplied

    config = load_config(name, revision)
    with explain_loading("configuration", name), torch.device("meta"):
        return multiplied(AutoModelForCausalLM.from_config(config, trust_remote_code=False))


def load_model_and_tokenizer(
    name: str, revision: str | None, dtype: str, device: str
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer; see :func:`load_model`.

    Raises:
        UserError: one of them cannot be loaded, or they do not match.
    """
    model, tokenizer = load_model(name, revision, dtype, device), load_tokenizer(name, revision)
    require_rows(tokenizer, model.get_input_embeddings().weight.shape[0], name)
    return model, tokenizer


def require_rows(tokenizer: Any, rows: int, name: str) -> None:
    """Refuse a tokenizer with ids beyond a model's embedding; a token for padding may lie there.

    Raises:
        UserError: a token that a text may hold has no row.
    """
    padding = {tokenizer.pad_token} - {tokenizer.eos_token}
    needed = 1 + max((i for t, i in tokenizer.get_vocab().items() if t not in padding), default=-1)
    if needed > rows:
        raise UserError(
            f"the tokenizer of {name!r} has ids up to {needed - 1} but its model only {rows} "
            "tokens; use the tokenizer that belongs to the model"
        )


def load_weights(
    role: str,
    name: str,
    revision: str | None = None,
    what: str = "model",
    unused: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Load a model of any kind, all of its weights from safetensors.

    Args:
        role: the class of transformers, such as ``AutoModelForCausalLM``.
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        what: what the model is, for error messages.
        unused: beginnings of names of weights that may be missing because the caller ignores
            what they compute.
        options: further options of ``from_pretrained``.

    Raises:
        UserError: it cannot be found or read, or its files lack weights or hold them in other
            shapes than its configuration says.
    """
    import transformers

    config = load_config(name, revision, what)
    verbosity = transformers.logging.get_verbosity()
    with explain_loading(what, name):
        place, commit = located(name, revision)
        check_files(place, commit, config)
        transformers.logging.set_verbosity_error()  # the report of weights; ours is one line
        try:
            model, loaded = getattr(transformers, role).from_pretrained(
                place,
                revision=commit,
                trust_remote_code=False,  # None would ask on the terminal
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **options,
            )
        finally:
            transformers.logging.set_verbosity(verbosity)
        weights = {key for key, _ in model.named_parameters(remove_duplicate=False)}
        missing = sorted(
            key for key in loaded["missing_keys"] & weights if not key.startswith(tuple(unused))
        )
        if missing:
            raise ValueError(f"its files lack {listed(missing)}, which would be random numbers")
        others = sorted(loaded["mismatched_keys"])
        if others:
            names, stored, configured = zip(*others, strict=True)
            raise ValueError(
                f"{listed(names)} has the shape {tuple(stored[0])} in its "
                f"files but {tuple(configured[0])} by its config.json"
            )
    return model


@contextmanager
def explain_loading(what: str, name: str) -> Iterator[None]:
    """Turn whatever the libraries raise for a model that they cannot load into a line.

    Raises:
        UserError: what cannot be loaded, and why.
    """
    try:
        is_local = name == EMBEDDED or os.path.isdir(os.path.expanduser(name))
        with nullcontext() if is_local else cache_if_unreachable():
            yield
    except UserError:
        raise
    except BaseException as error:
        # A panic in Rust code, such as that of tokenizers, is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = short(error, 200)
        if not isinstance(error, (OSError, ValueError, ImportError)) or not reason:
            reason = f"{type(error).__name__}: {reason}"
        folder = Path(os.path.expanduser(name))
        if os.path.isdir(folder):
            raise UserError(f"cannot load the {what} in {name!r}: {reason}", folder) from error
        if line := environment_problem(error):
            raise UserError(line) from error
        plain, at = split_revision(name)
        if line := hub_problem(error, MODEL, plain, at):
            raise UserError(line) from error
        raise UserError(
            f"cannot load the {what} {name!r}: {reason} "
            f"(without a network use {EMBEDDED!r} or a folder that holds the model as safetensors)"
        ) from error
