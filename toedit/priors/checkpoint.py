"""Check the files of a model's weights before they are loaded."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

HEADS = ("lm_head.weight", "embed_out.weight")
"""Names of an output layer; some files hold it although it is the input embedding."""

MASK = 4
"""Dimensions of the causal masks in old GPT-2 files."""

PACKED = 32
"""Weights that a stored number may hold, in a quantized checkpoint or one that shares layers."""


def check_files(model: str, revision: str | None, config: Any) -> None:
    """Check the files of weights before they are loaded.

    Raises:
        ValueError: an index names another file than a safetensors file of the model, or the
            weights are far fewer than those of the configuration, or of an unknown quantization.
    """
    from transformers.quantizers.auto import AutoHfQuantizer

    quantization = getattr(config, "quantization_config", None)
    if quantization and not AutoHfQuantizer.supports_quant_method(quantization):
        raise ValueError(f"its quantization is unknown: {quantization}")
    files = [path for path in _weight_files(model, revision, config) if path.is_file()]
    if not files:  # not downloaded yet, or missing, which the library explains
        return
    tensors = {key: entry for path in files for key, entry in _header(path).items()}
    shapes = [entry["shape"] for entry in tensors.values()]
    stored = sum(map(math.prod, shapes))
    names = ("num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size")
    sizes = {field: getattr(config, field, None) for field in names}
    layers, width, *others = (size if isinstance(size, int) else 0 for size in sizes.values())
    if layers > len(shapes) or width * max(others) > PACKED * stored:
        raise ValueError(
            f"its files hold {stored} numbers in {len(shapes)} tensors, too few for its "
            f"config.json: {', '.join(f'{field}={size}' for field, size in sizes.items())}"
        )
    whole = [
        k for k, entry in tensors.items() if k.endswith(".weight") and entry["dtype"][0] in "IU"
    ]
    if whole and not quantization:
        raise ValueError(f"its files hold whole numbers for {listed(whole)}, and no quantization")


def _weight_files(model: str, revision: str | None, config: Any) -> list[Path]:
    """Files of weights that the library will choose; shards of a hub model may not be here yet."""
    from transformers.utils import cached_file

    chosen = getattr(config, "transformers_weights", None)
    for file in [chosen] if chosen else [WEIGHTS, INDEX]:
        path = cached_file(
            model,
            file,
            revision=revision,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if path is not None:
            break
    else:
        return []
    return _indexed(Path(path)) if path.endswith(".index.json") else [Path(path)]


def _indexed(path: Path) -> list[Path]:
    """Files that an index names.

    Raises:
        ValueError: it is no index, or names another file than a safetensors file next to it.
    """
    index = json.loads(path.read_bytes())
    parts = index.get("weight_map") if isinstance(index, dict) else None
    if not parts or not isinstance(parts, dict):
        raise ValueError(f"{path.name} has no weight_map with the file of each weight")
    files = []
    for file in sorted(set(parts.values()), key=str):
        if not isinstance(file, str) or not file.endswith(".safetensors"):
            raise ValueError(f"{path.name} names {file!r}, which is no safetensors file")
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError(f"{path.name} names {file!r}, which lies outside of its folder")
        files.append(path.parent / file)
    return files


def stored_weights(folder: Path) -> int | None:
    """Count the weights in the safetensors files of a model's folder, by their headers alone.

    Tied weights count once; the masks that old GPT-2 files hold are none. No model is loaded, and
    neither torch nor transformers is imported.

    Returns:
        The number; None where no such files are there, or cannot be read.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        single, index = folder / WEIGHTS, folder / INDEX
        files = [single] if single.is_file() else _indexed(index) if index.is_file() else []
        tensors = {key: entry for path in files for key, entry in _header(path).items()}
    except (OSError, ValueError):
        return None
    shapes = {key: entry["shape"] for key, entry in tensors.items() if len(entry["shape"]) < MASK}
    if isinstance(config, dict) and config.get("tie_word_embeddings") is True:
        for head in HEADS:
            if head in shapes and list(shapes.values()).count(shapes[head]) > 1:
                del shapes[head]
    return sum(map(math.prod, shapes.values())) or None


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """Name, shape and dtype of the tensors of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            return {k: {"shape": p.get_shape(), "dtype": p.get_dtype()} for k, p in parts.items()}
    except SafetensorError as error:
        raise ValueError(f"{path.name} is no whole safetensors file: {error}") from error


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
