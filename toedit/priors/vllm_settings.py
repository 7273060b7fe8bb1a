"""Settings of a vLLM engine, under vLLM's own names, without importing vllm."""

import json
from collections.abc import Iterable
from typing import Any

from toedit.errors import UserError

REFUSED = {
    "model": "is the model's own field",
    "model_impl": "could run code of a checkpoint",
    "tokenizer": "is that of the model",
    "revision": "has a field of its own",
    "tokenizer_revision": "is that of the model",
    "dtype": "has a field of its own",
    "max_model_len": "has a field of its own, max_length",
    "max_logprobs": "follows the number of candidates",
    "enable_prefix_caching": "would leave tokens without log-probabilities",
    "seed": "follows the seeds of the texts",
    "trust_remote_code": "would run code of a checkpoint",
    "load_format": "is safetensors",
}
"""Arguments of vLLM that are not free, and why."""

SPEED_ONLY = {
    "async_scheduling", "block_size", "cpu_offload_gb", "data_parallel_size",
    "disable_log_stats", "distributed_executor_backend", "download_dir",
    "enable_chunked_prefill", "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes",
    "max_num_batched_tokens", "max_num_seqs", "max_parallel_loading_workers",
    "pipeline_parallel_size", "safetensors_load_strategy", "swap_space", "tensor_parallel_size",
}  # fmt: skip
"""Arguments that change results by rounding at most, so they identify nothing."""


def check_settings(field: str, settings: dict[str, Any], free: Iterable[str] = ()) -> None:
    """Refuse arguments of an engine that are not free, apart from those in ``free``.

    Raises:
        UserError: there is one.
    """
    for name in settings:
        if name in REFUSED and name not in free:
            raise UserError(f"{field}: {name} cannot be set, it {REFUSED[name]}; leave it out")


def deciding(settings: dict[str, Any] | None) -> dict[str, Any]:
    """Return the settings that change results, such as ``quantization``."""
    return {name: value for name, value in (settings or {}).items() if name not in SPEED_ONLY}


def from_options(words: Iterable[str]) -> dict[str, Any]:
    """Read NAME=VALUE options, whose values are JSON, or else text.

    Raises:
        UserError: one is not of this form.
    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise UserError(f"--vllm {word!r} is no NAME=VALUE, such as gpu_memory_utilization=0.5")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
