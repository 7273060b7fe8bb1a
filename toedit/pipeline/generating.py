"""The step that has texts written: prompts in, texts out."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.pipeline.base import use_threads
from toedit.priors import PriorConfig
from toedit.priors.loading import load_model, load_tokenizer
from toedit.synthesis.settings import Synthesis


@lru_cache(maxsize=1)
def _writer(name: str, revision: str | None, dtype: str, device: str) -> tuple[Any, Any]:
    """Model and tokenizer, loaded once a process."""
    from toedit.priors.hf import pick_device

    return load_model(name, revision, dtype, pick_device(device)), load_tokenizer(name, revision)


class Generate(PipelineStep):
    """Replaces prompts by what a model writes, in batches that depend on the unit alone.

    Args:
        model: which model, as a prior is named.
        settings: how it samples.
        seed: of the run.
        generation: of the model.
        threads: threads of torch in a worker; 0 leaves them alone.
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

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        from toedit.synthesis.generate import generate

        use_threads(self.threads)
        own = self.model
        model, tokenizer = _writer(own.model, own.revision, own.dtype, own.device)
        stream = iter(data)
        while carriers := list(islice(stream, self.settings.batch)):
            texts = generate(
                model, tokenizer, [c.id for c in carriers], [c.text for c in carriers],
                self.settings, self.seed, self.generation,
            )  # fmt: skip
            for carrier, text in zip(carriers, texts, strict=True):
                carrier.text = text.strip()
                yield carrier
