"""Configuration of corpus statistics and of the theory of iterated training."""

from dataclasses import dataclass, field

from experiments.config.limits import LARGEST_PLAN
from experiments.config.pretraining import METHODS
from toedit.errors import SCALES, UserError, require_choice, require_positive, require_within
from toedit.priors import PriorConfig
from toedit.theory.procedure import Schedule, require_size
from toedit.user_paths import local_path

PARTS = ("perplexity", "ngrams", "density", "map")
SELECTIONS = tuple(method for method in METHODS if method != "perplexity")
MOST_DRAWS = 10**6
CORPORA = ("synthetic", "edited", *SELECTIONS)


@dataclass
class StatisticsConfig:
    """Comparison of human text with other corpora of the same size.

    Attributes:
        corpora: other corpora: ``synthetic``, selections from it by method (``dsir`` …, with the
            settings of ``selection``), and ``edited``, the human text edited by ``edit`` and by
            the rules in ``presets``.
        parts: measurements: ``perplexity`` (and token probabilities, by all priors; edited text
            needs the first prior in any case), ``ngrams``, ``density`` and ``map`` (sentence
            embeddings).
        words: words of every corpus, punctuation counted.
        reference_words: words of the human text that the corpora are compared with; null for
            ``words``.
        document_words: words to use from the beginning of a document, because later words are
            easier to predict; null for all.
        priors: priors in addition to ``prior``.
        train_prior: add a model trained on human text, the human arm of the pre-training
            experiments, to the priors.
        buckets: buckets that n-grams are hashed into.
        groups: most groups of documents that the bootstrap resamples.
        chunks: samples for measures that depend on size.
        chunk_words: words per sample.
        top: pairs of words listed by frequency.
        repetitions: hash tables of the density sketch.
        density_buckets: counters per hash table.
        density_documents: documents of each corpus in the sketch; null for all.
        embedded: documents of each corpus to embed; null for all.
        encoder: sentence encoder: ``embedded``, a folder, or a hub id.
        encoder_revision: its commit.
        encoder_length: tokens of a document that it reads.
        neighbours: nearest documents that purity looks at.
        tsne_perplexity: effective number of neighbours in the map.
    """

    corpora: list[str] = field(default_factory=lambda: ["synthetic", "dsir", "edited"])
    parts: list[str] = field(default_factory=lambda: list(PARTS))
    words: int = 20_000
    reference_words: int | None = None
    document_words: int | None = None
    priors: list[PriorConfig] = field(default_factory=list)
    train_prior: bool = False
    buckets: int = 10_000
    groups: int = 512
    chunks: int = 8
    chunk_words: int = 2_000
    top: int = 64
    repetitions: int = 128
    density_buckets: int = 20_000
    density_documents: int | None = None
    embedded: int | None = 500
    encoder: str = field(default="embedded", metadata={"identity": "model"})
    encoder_revision: str | None = None
    encoder_length: int = 256
    neighbours: int = 10
    tsne_perplexity: float = 30.0

    def __post_init__(self) -> None:
        for name, allowed in (("corpora", CORPORA), ("parts", PARTS)):
            values = getattr(self, name)
            for value in values:
                require_choice(f"statistics.{name}", value, allowed)
            if len(set(values)) < len(values) or not values:
                raise UserError(f"statistics.{name} must name at least one, each once")
        self.encoder = local_path(self.encoder, "statistics.encoder=")
        require_positive("statistics", self, "words", "reference_words", "document_words",
                         "buckets", "chunks", "chunk_words", "top", "repetitions",
                         "density_buckets", "density_documents", "embedded", "neighbours",
                         "tsne_perplexity")  # fmt: skip
        require_within("statistics", self, 2, 10_000, "groups")
        require_within("statistics", self, 8, 8192, "encoder_length")
        if self.chunks * self.chunk_words > self.words:
            raise UserError(
                f"statistics.chunks={self.chunks} of chunk_words={self.chunk_words} are more than "
                f"words={self.words}; lower one of the first two"
            )


@dataclass
class TheoryConfig:
    """Iterated training in linear regression (``toedit/theory``).

    Attributes:
        rows: T, rows of the data.
        features: d, weights of the model.
        sigma: standard deviation of the noise.
        scales: standard deviation of each feature; empty for 1.
        generations: number of models, including the first.
        draws: repetitions of the simulation.
        schedules: which rows each generation edits; one curve per schedule.
    """

    rows: int = 200
    features: int = 10
    sigma: float = 1.0
    scales: list[float] = field(default_factory=list)
    generations: int = 10
    draws: int = 1000
    schedules: list[Schedule] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_within("theory", self, *SCALES, "sigma")
        require_within("theory", self, 1, LARGEST_PLAN, "generations")
        require_within("theory", self, 2, MOST_DRAWS, "draws")  # two, to show an error
        require_size(self.rows, self.features)
        if self.rows > 20_000:
            raise UserError(
                f"theory.rows={self.rows} is out of range; allowed: up to 20000, since the exact "
                "recursion keeps T x T numbers"
            )
        low, high = SCALES
        if self.scales and (
            len(self.scales) != self.features or not all(low <= s <= high for s in self.scales)
        ):
            raise UserError(
                f"theory.scales must hold {self.features} numbers, one a feature; allowed: "
                f"{low:g} to {high:g}"
            )
        for schedule in self.schedules:
            schedule.fractions(self.generations - 1)
        labels = [schedule.label for schedule in self.schedules]
        if len(set(labels)) < len(labels):
            raise UserError("theory.schedules must name each schedule once")
