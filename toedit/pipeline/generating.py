"""Step that generates texts from prompts."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from datatrove.pipeline.base import PipelineStep

from toedit.document import Document
from toedit.pipeline.base import use_threads
from toedit.priors import PriorConfig
from toedit.priors.loading import (
    load_model_and_tokenizer,
    load_tokenizer,
    model_limits,
    require_rows,
)
from toedit.synthesis.settings import Synthesis


@lru_cache(maxsize=1)
def _load(model: PriorConfig) -> tuple[Any, Any]:
    """Load model, or its engine in vLLM, and tokenizer, once a process."""
    if model.kind == "vllm":
        from toedit.priors.vllm import load_engine

        tokenizer = load_tokenizer(model.model, model.revision)
        rows, limit = model_limits(model.model, model.revision)
        require_rows(tokenizer, rows, model.model)
        length = min(model.max_length, limit or model.max_length)
        engine = load_engine(
            model.model, model.revision, model.dtype, length, model.batch_tokens, model.vllm
        )
        return engine, tokenizer
    from toedit.priors.hf import pick_device

    device = pick_device(model.device)
    return load_model_and_tokenizer(model.model, model.revision, model.dtype, device)


class Generate(PipelineStep):
    """Replace prompts by texts that a model generates, in batches that depend on the unit alone.

    Args:
        model: the model, named as a prior is.
        settings: how it samples.
        seed: seed of the run.
        generation: of the model.
        threads: threads of torch in a worker; 0 keeps torch's default.
    """

    name, type = "generate", "writer model"

    def __init__(
        self,
        model: PriorConfig,
        settings: Synthesis,
        seed: int = 0,
        generation: int = 0,
        threads: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.settings, self.threads = model, settings, threads
        self.seed, self.generation = seed, generation

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if self.model.kind == "vllm":
            from toedit.synthesis import with_vllm as writer
        else:
            from toedit.synthesis import generate as writer  # type: ignore[no-redef]

        use_threads(self.threads)
        model, tokenizer = _load(self.model)
        stream = iter(data)
        while batch := list(islice(stream, self.settings.batch)):
            ids, prompts = [d.id for d in batch], [d.text for d in batch]
            texts = writer.generate(
                model, tokenizer, ids, prompts, self.settings, self.seed, self.generation
            )
            for document, text in zip(batch, texts, strict=True):
                document.text = text.strip()
                yield document
