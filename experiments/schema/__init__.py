"""Types of the configuration. YAML under ``conf/`` holds values; what is not named here is refused.

Fields marked ``identity: False`` can change how fast or where a result comes about, never the
result; they are left out of fingerprints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from experiments.schema.checks import positive, runtime, within
from experiments.schema.pretraining import CollapseConfig, MixtureConfig, SelectionConfig
from experiments.schema.statistics import StatisticsConfig
from experiments.schema.theory import TheoryConfig
from experiments.schema.training import ModelConfig, TrainConfig
from toedit.engines import Engine
from toedit.errors import UserError, require_choice, require_probability
from toedit.models import DTYPES
from toedit.priors import PriorConfig
from toedit.rules import PRESETS, EditRule
from toedit.synthesis.settings import Synthesis

SOURCES = ("bioasq", "local", "hub")
TRACKERS = ("wandb", "none")
ARMS = ("source", "edited")


@dataclass
class CorpusConfig:
    """Which text is used and how it is split.

    Attributes:
        source: ``bioasq`` (embedded), ``local`` files, or ``hub``.
        paths: files or folders of ``local``; identified by their content.
        hub: data set of ``hub``, or a folder that ``datasets`` reads.
        subset: configuration of the data set.
        split: its split.
        revision: its commit.
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        heldout_share: share of connected groups of documents held out, between 0 and 1.
        read_characters: characters of the source that are looked at, in its order; null for all.
        train_characters: characters of training text kept, in a fixed order; null for all.
        heldout_characters: the same for held-out text.
        decontaminate: embedded benchmark tasks whose items must not occur in the text, besides
            those that the experiment evaluates.
    """

    source: str = "bioasq"
    paths: list[str] = field(default_factory=list, metadata={"identity": "content"})
    hub: str | None = None
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    id_column: str = "id"
    heldout_share: float = 0.1
    read_characters: int | None = None
    train_characters: int | None = None
    heldout_characters: int | None = None
    decontaminate: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_choice("corpus.source", self.source, SOURCES)
        positive("corpus", self, "read_characters", "train_characters", "heldout_characters")
        if not 0 < self.heldout_share < 1:
            raise UserError(f"corpus.heldout_share={self.heldout_share} must lie between 0 and 1")
        if self.source == "local" and not self.paths:
            raise UserError("corpus.source=local needs corpus.paths=[FILE,...]")
        if self.source == "hub" and not self.hub:
            raise UserError("corpus.source=hub needs corpus.hub=DATASET")

    def inapplicable(self) -> set[str]:
        """Fields that mean nothing for this source."""
        columns = {"text_column", "id_column"}
        hub = {"hub", "subset", "split"}
        return {"bioasq": hub | columns | {"paths"}, "local": hub | {"revision"}, "hub": {"paths"}}[
            self.source
        ]


@dataclass
class ScoreConfig:
    """Which alternatives the scoring pass keeps, so that later rules need no pass of their own.

    Attributes:
        k: alternatives a position.
        above: kept where the token's probability is at least this; null for nowhere.
        below: kept where it is at most this; null for nowhere.
    """

    k: int = 8
    above: float | None = 0.9
    below: float | None = None

    def __post_init__(self) -> None:
        positive("score", self, "k")
        for name in ("above", "below"):
            require_probability(f"score.{name}", getattr(self, name))


@dataclass
class EvalConfig:
    """What is measured of a model.

    Attributes:
        suite: benchmarks, from ``evals/suites.py``; null for none.
        limits: items per task; a task without one is evaluated whole.
        data: folder with the items of the AdaptLLM tasks (``NAME/test.jsonl``); null for the hub.
        heldout_tokens: held-out tokens scored; null for all.
        first_tokens: only so many tokens from the beginning of a held-out document count, as in the
            paper's perplexity on the Pile (1024); null for whole documents.
        window: most tokens in a forward pass over held-out text.
        dtype: dtype of the weights during evaluation.
        batch_size: prompts in a forward pass.
    """

    suite: str | None = "biomedicine_embedded"
    limits: dict[str, int] = field(default_factory=dict)
    data: str | None = field(default=None, metadata={"identity": "items"})
    heldout_tokens: int | None = None
    first_tokens: int | None = None
    window: int = 1024
    dtype: str = "float32"
    batch_size: int = runtime(1)

    def __post_init__(self) -> None:
        require_choice("eval.dtype", self.dtype, DTYPES)
        within("eval", self, 2, math.inf, "first_tokens")  # the first one has no prediction
        positive("eval", self, "heldout_tokens", "window", "batch_size")
        for task, limit in self.limits.items():
            if limit < 1:
                raise UserError(f"eval.limits.{task}={limit} must be at least 1")

    def inapplicable(self) -> set[str]:
        """Limits where no benchmark is evaluated."""
        return set() if self.suite else {"limits", "data"}


@dataclass
class EngineConfig(Engine):
    """How scoring and editing are spread: datatrove's executors.

    Attributes:
        rows_per_unit: documents in a unit of work; a kill costs at most one unit.
    """

    rows_per_unit: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("engine", self, "rows_per_unit")


@dataclass
class TrackerConfig:
    """Where runs are logged besides the store.

    Attributes:
        kind: ``wandb`` (offline unless logged in) or ``none``.
        project: wandb project.
        entity: wandb team; null for the user's own.
    """

    kind: str = "wandb"
    project: str = "toedit"
    entity: str | None = None

    def __post_init__(self) -> None:
        require_choice("tracker", self.kind, TRACKERS)


@dataclass
class Config:
    """One experiment.

    Attributes:
        name: the experiment; also the wandb group.
        plan: experiment family, a module of ``experiments/plans``.
        seed: feeds editing and training, nothing else.
        arms: what is trained; ``base`` is always evaluated.
        seeds: of the pre-training runs; empty for ``seed`` alone.
        presets: further editing presets whose statistics are reported.
        note: what a reader must know about this setting; printed under the table.
        store: folder of results.
        device: device that cost estimates assume.
        dry_run: print the stages and their cost, run nothing.
        force: recompute stages of this kind or name, and what depends on them.
    """

    name: str = ""
    plan: str = "train_on_edits"
    seed: int = 0
    arms: list[str] = field(default_factory=lambda: list(ARMS))
    seeds: list[int] = field(default_factory=list)
    presets: list[str] = field(default_factory=list)
    note: str = ""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    edit: EditRule = field(default_factory=EditRule)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    collapse: CollapseConfig = field(default_factory=CollapseConfig)
    synthesis: Synthesis = field(default_factory=Synthesis)
    theory: TheoryConfig = field(default_factory=TheoryConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    store: str = "store"
    device: str = "cpu"
    dry_run: bool = False
    force: str | None = None

    def __post_init__(self) -> None:
        for seed in (self.seed, *self.seeds):
            if not 0 <= seed < 2**32:
                raise UserError(f"seed={seed} is out of range; allowed: 0 to 4294967295")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds={self.seeds} must name each seed once")
        if self.train.fsdp and self.model.lora_rank:
            raise UserError("train.fsdp trains every weight: model.lora_rank must be 0")
        for arm in self.arms:
            require_choice("arms", arm, ARMS)
        for name in self.presets:
            require_choice("presets", name, PRESETS)
