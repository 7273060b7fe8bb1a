"""Configuration of pre-training: architecture, mixture, selection and iterated training."""

from dataclasses import dataclass, field

from experiments.config.corpora import TextSource
from experiments.config.limits import LARGEST_PLAN
from toedit.errors import UserError, require_choice, require_positive, require_within
from toedit.user_paths import local_path, user_path

FAMILIES = ("gpt2", "llama", "olmo")
METHODS = ("random", "dsir", "dsir_normalized", "education", "perplexity", "density")
MODES = ("replace", "accumulate", "edit")
PERPLEXITIES = ("low", "middle", "high")
SHIPPED = "shipped"


@dataclass
class ArchitectureConfig:
    """Shape of a decoder-only transformer that is trained from random weights.

    Attributes:
        family: ``gpt2``, ``llama`` or ``olmo`` (non-parametric layer norm, rotary positions).
        layers: transformer blocks.
        width: width of the residual stream.
        heads: attention heads.
        intermediate: width of the feed-forward layers; null for 4 times ``width``.
        context: most tokens of an input.
        vocabulary: rows of the embedding; null for the tokenizer's size.
        tied: share one matrix between input embedding and output layer.
        dropout: dropout rate in attention, residual stream and embedding; null for the default of
            the family: 0.1 in ``gpt2``, none in the others, which have no dropout.
    """

    family: str = "gpt2"
    layers: int = 4
    width: int = 192
    heads: int = 6
    intermediate: int | None = None
    context: int = 256
    vocabulary: int | None = None
    tied: bool = True
    dropout: float | None = None

    def __post_init__(self) -> None:
        require_choice("model.scratch.family", self.family, FAMILIES)
        require_positive("model.scratch", self, "layers", "width", "heads", "intermediate",
                         "context", "vocabulary")  # fmt: skip
        if self.width % self.heads:
            raise UserError(
                f"model.scratch.width={self.width} must be a multiple of heads={self.heads}"
            )
        if self.dropout is None:
            return
        require_within("model.scratch", self, 0, 0.9, "dropout")
        if self.dropout and self.family != "gpt2":
            raise UserError(
                f"model.scratch.dropout={self.dropout}: family {self.family} has no dropout; set "
                "it to null, or family=gpt2"
            )


@dataclass
class MixtureConfig:
    """Mixture of human and synthetic training text.

    Attributes:
        domains: human domains to train on, at equal shares (``evals/domains.py``).
        heldout_domains: human domains that no mixture contains.
        synthetic: ``shipped``, or a parquet file with id, text, format, seed_source and seed_id.
        heldout_formats: formats of synthetic text that no mixture contains.
        heldout_share: share of connected groups of documents held out of the training domains.
        remove_overlap: leave out documents that share 13 words in a row with an evaluated item;
            otherwise only count them.
        heldout_characters: most held-out characters per domain; null for all.
        ratios: shares of synthetic text among the training tokens, one arm each. The paper's
            formula gives the share of human text instead, so its alpha is 1 minus this.
        tokens: tokens of a mixture, at most the number of training tokens; null for this number.
            Training on more tokens repeats the mixture of every arm.
        epochs: how often a source may be repeated to fill its share of a mixture.
        vocabulary: size of the tokenizer that is trained on equal parts of both kinds.
        tokenizer_characters: characters of each kind to train it on.
        tokenizer: a folder or a hub id of a tokenizer to use instead.
        tokenizer_revision: its commit.
        sources: files of human and synthetic training text, instead of the embedded data;
            ``domains`` then names the human ones, and the other fields above do not apply.
        heldout: files of held-out text, by domain, with ``heldout_characters`` of each.
    """

    domains: list[str] = field(
        default_factory=lambda: ["biomedical", "papers", "wikipedia", "fiction"]
    )
    heldout_domains: list[str] = field(default_factory=lambda: ["news", "exams", "children"])
    synthetic: str = SHIPPED
    heldout_formats: list[str] = field(default_factory=lambda: ["a how-to tutorial"])
    heldout_share: float = 0.1
    remove_overlap: bool = True
    heldout_characters: int | None = 60_000
    ratios: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75, 1.0])
    tokens: int | None = None
    epochs: int = 1
    vocabulary: int = 4096
    tokenizer_characters: int = 1_000_000
    tokenizer: str | None = None
    tokenizer_revision: str | None = None
    sources: list[TextSource] = field(default_factory=list)
    heldout: list[TextSource] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.synthetic = user_path(self.synthetic, "mixture.synthetic=")
        if self.tokenizer is not None:
            self.tokenizer = local_path(self.tokenizer, "mixture.tokenizer=")
        require_positive("mixture", self, "heldout_characters", "tokens", "epochs", "vocabulary",
                         "tokenizer_characters")  # fmt: skip
        for ratio in self.ratios:
            if not 0 <= ratio <= 1:
                raise UserError(f"mixture.ratios holds {ratio}; allowed: 0 to 1")
        if len(set(self.ratios)) < len(self.ratios) or not 0 < len(self.ratios) <= 8:
            raise UserError("mixture.ratios must name one to eight ratios, each once")
        if len(set(self.domains)) < len(self.domains) or not self.domains:
            raise UserError("mixture.domains must name at least one domain, each once")
        require_within("mixture", self, 0.01, 0.5, "heldout_share")
        self._check_sources()
        if both := sorted({*self.domains} & {*self.heldout_domains}):
            raise UserError(f"mixture.domains and heldout_domains both name {both[0]!r}")

    def _check_sources(self) -> None:
        if not self.sources:
            if self.heldout:
                raise UserError(
                    "mixture.heldout needs mixture.sources, the text that is trained on"
                )
            return
        for what, sources in (("sources", self.sources), ("heldout", self.heldout)):
            names = [source.name for source in sources]
            if len(set(names)) < len(names):
                raise UserError(f"mixture.{what} must name each source once, not {names}")

    def require_trainable(self) -> None:
        """Refuse sources without held-out text or tokenizer, or that do not match the domains."""
        if not self.sources:
            return
        if not self.heldout or self.tokenizer is None:
            raise UserError("mixture.sources needs mixture.heldout and mixture.tokenizer")
        human = sorted(source.name for source in self.sources if source.kind == "human")
        if sorted(self.domains) != human:
            raise UserError(
                f"mixture.domains={self.domains} must name the human sources: {', '.join(human)}"
            )
        if len(human) == len(self.sources) and any(self.ratios):
            raise UserError("mixture.ratios above 0 need a source of kind synthetic")


@dataclass
class SelectionConfig:
    """Selection of a part of the synthetic training text.

    Attributes:
        methods: one arm each: ``random`` (the control), ``dsir`` (importance resampling towards the
            human training text), ``dsir_normalized`` (its weights by n-gram, so that length has no
            influence), ``education``, ``perplexity`` and ``density``.
        share: share of the characters of the synthetic training text to select.
        documents: number of documents to select instead; null for the share.
        epochs: how often the selection may be repeated to fill a mixture.
        perplexity: documents to select by perplexity: ``low``, ``high``, or ``middle`` (nearest to
            the median). The paper does not state its filter's direction.
        education: classifier of educational value, a folder or a hub id; null for the embedded
            substitute, which distinguishes encyclopedic and scientific text from fiction.
        min_words: fewest words of a document that DSIR selects.
        order: longest n-gram that DSIR counts.
        buckets: buckets its n-grams are hashed into.
        repetitions: hash tables of density sampling.
        density_buckets: counters per hash table.
    """

    methods: list[str] = field(default_factory=lambda: list(METHODS))
    share: float = 0.5
    documents: int | None = None
    epochs: int = 3
    perplexity: str = "high"
    education: str | None = field(default=None, metadata={"identity": "model"})
    min_words: int = 100
    order: int = 2
    buckets: int = 10_000
    repetitions: int = 128
    density_buckets: int = 20_000

    def __post_init__(self) -> None:
        if self.education is not None:
            self.education = local_path(self.education, "selection.education=")
        for method in self.methods:
            require_choice("selection.methods", method, METHODS)
        if len(set(self.methods)) < len(self.methods):
            raise UserError("selection.methods must name each method once")
        require_choice("selection.perplexity", self.perplexity, PERPLEXITIES)
        require_within("selection", self, 0.01, 1, "share")
        require_positive("selection", self, "documents", "epochs", "order", "buckets",
                         "repetitions", "density_buckets")  # fmt: skip
        require_within("selection", self, 0, 10**6, "min_words")

    def inapplicable(self) -> set[str]:
        """The share, if a number of documents is selected."""
        return {"share"} if self.documents is not None else set()


@dataclass
class CollapseConfig:
    """Iterated training.

    Attributes:
        modes: ``replace``, ``accumulate`` and ``edit`` (plans/collapse.py), each with one arm per
            generation.
        generations: models after the first.
        epochs: how often text may be repeated to fill a mixture, as a model may write too little.
    """

    modes: list[str] = field(default_factory=lambda: list(MODES))
    generations: int = 3
    epochs: int = 3

    def __post_init__(self) -> None:
        for mode in self.modes:
            require_choice("collapse.modes", mode, MODES)
        if len(set(self.modes)) < len(self.modes) or not self.modes:
            raise UserError("collapse.modes must name at least one mode, each once")
        require_within("collapse", self, 1, LARGEST_PLAN, "generations")
        require_positive("collapse", self, "epochs")
