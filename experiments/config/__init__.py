"""Configuration of an experiment. Values are in YAML files under ``conf/``; unknown fields fail.

Fields marked ``identity: False`` never change a result, only how fast or where it is computed; they
are left out of fingerprints.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.config.checks import runtime
from experiments.config.corpora import CorpusConfig, GenerationsConfig, MixConfig
from experiments.config.launch import LaunchConfig
from experiments.config.pretraining import CollapseConfig, MixtureConfig, SelectionConfig
from experiments.config.statistics import StatisticsConfig, TheoryConfig
from experiments.config.training import ContinuedConfig, ModelConfig, TrainConfig
from toedit.engines import Engine
from toedit.errors import (
    SEEDS,
    UserError,
    require_choice,
    require_positive,
    require_probability,
    require_within,
)
from toedit.priors import PriorConfig
from toedit.priors.loading import DTYPES
from toedit.priors.vllm_settings import check_settings, deciding
from toedit.redaction import published, without_secrets
from toedit.rules import MOST_CANDIDATES, PRESETS, EditRule
from toedit.synthesis.settings import Synthesis
from toedit.user_paths import local_path

TRACKERS = ("wandb", "none")
ARMS = ("source", "edited")
RANDOM_EDIT, LABEL_SMOOTHING, NO_EDIT, REDRAWN = CONTROLS = (
    "random_edit", "label_smoothing", "no_edit", "redrawn"
)  # fmt: skip


@dataclass
class ScoreConfig:
    """Candidates that the scoring pass stores, so that editing rules need no further pass.

    Attributes:
        k: candidates per position.
        above: store them where the token's probability is at least this; null for nowhere.
        below: store them where it is at most this; null for nowhere.
    """

    k: int = 8
    above: float | None = 0.9
    below: float | None = None

    def __post_init__(self) -> None:
        require_within("score", self, 1, MOST_CANDIDATES, "k")
        for name in ("above", "below"):
            require_probability(f"score.{name}", getattr(self, name))


@dataclass
class EvalConfig:
    """Evaluation of a model.

    Attributes:
        suite: benchmarks, from ``evals/suites.py``; null for none.
        tasks: folder with tasks of your own, YAML and Python of lm-eval; null for none.
        limits: items per task; a task without a limit is evaluated on all of its items.
        data: folder with the items of the AdaptLLM tasks (``NAME/test.jsonl``); null for the hub.
        heldout_tokens: held-out tokens to score; null for all.
        first_tokens: tokens to score from the beginning of each held-out document, as in the
            paper's perplexity on the Pile (1024); null for whole documents.
        window: most tokens in a forward pass over held-out text.
        dtype: dtype of the weights during evaluation.
        batch_size: items in a forward pass: prompts with all their options, or to be answered.
        benchmarks_at_checkpoints: also evaluate benchmarks at ``train.keep_tokens``.
        allow_cut: also evaluate a benchmark of which every item is longer than the model reads.
        backend: what runs the benchmarks, ``hf`` (transformers) or ``vllm``; held-out text is
            always read by transformers.
        vllm: arguments of the vLLM engine by vLLM's names, as ``prior.vllm``.
    """

    suite: str | None = field(default="biomedicine_embedded", metadata={"identity": "suite"})
    limits: dict[str, int] = field(default_factory=dict)
    data: str | None = field(default=None, metadata={"identity": "items"})
    heldout_tokens: int | None = None
    first_tokens: int | None = None
    window: int = 1024
    dtype: str = "float32"
    batch_size: int = runtime(1)
    benchmarks_at_checkpoints: bool = runtime(True)
    allow_cut: bool = runtime(False)
    backend: str = "hf"
    vllm: dict[str, Any] = field(default_factory=dict, metadata={"identity": "vllm"})
    tasks: str | None = field(default=None, metadata={"identity": "tasks"})

    def __post_init__(self) -> None:
        require_choice("eval.dtype", self.dtype, DTYPES)
        for name in ("data", "tasks"):
            if (path := getattr(self, name)) is not None:
                setattr(self, name, local_path(path, f"eval.{name}="))
        require_within("eval", self, 2, math.inf, "first_tokens")  # the first one has no prediction
        require_positive("eval", self, "heldout_tokens", "window", "batch_size")
        require_choice("eval.backend", self.backend, ("hf", "vllm"))
        if self.vllm and self.backend != "vllm":
            raise UserError("eval.vllm needs eval.backend=vllm")
        check_settings("eval.vllm", self.vllm, free=["max_model_len"])
        for task, limit in self.limits.items():
            if limit < 1:
                raise UserError(f"eval.limits.{task}={limit} must be at least 1")

    def without_benchmarks(self) -> "EvalConfig":
        """The same evaluation of held-out text alone."""
        return replace(self, suite=None, tasks=None)

    def inapplicable(self) -> set[str]:
        """Fields of benchmarks, if there are none."""
        unused = set() if deciding(self.vllm) else {"vllm"}
        return unused if self.suite or self.tasks else {"limits", "data", "backend", "vllm"}


@dataclass
class EngineConfig(Engine):
    """Workers that score, edit, generate and tokenize, by datatrove's executors.

    Attributes:
        rows_per_unit: documents in a unit of work; a killed worker repeats at most one unit.
    """

    rows_per_unit: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("engine", self, "rows_per_unit")


@dataclass
class TrackerConfig:
    """Experiment tracker that runs are logged to, in addition to the store.

    Attributes:
        kind: ``wandb`` (offline unless logged in) or ``none``.
        project: wandb project, or ``TEAM/PROJECT``.
        entity: wandb team; null for the user's own.
    """

    kind: str = "wandb"
    project: str = "toedit"
    entity: str | None = None

    def __post_init__(self) -> None:
        require_choice("tracker", self.kind, TRACKERS)
        team, _, project = self.project.partition("/")
        if team and project and "/" not in project:
            if self.entity not in (None, team):
                raise UserError(
                    f"tracker.project={self.project!r} and tracker.entity={self.entity!r} name two "
                    "teams; name one"
                )
            self.entity, self.project = team, project


@dataclass
class Config:
    """One experiment.

    Attributes:
        name: the experiment; also the wandb group.
        plan: type of experiment, a module of ``experiments/plans``.
        seed: seed of editing and training.
        arms: arms to train; ``base`` is always evaluated.
        controls: further arms: ``random_edit`` (as many edits, at random positions),
            ``label_smoothing`` (the source, smoothed as editing would), ``no_edit`` (a check that
            an edit without changes equals the source), ``redrawn`` (new edits in every epoch).
        seeds: seeds of the runs; empty for ``seed`` alone.
        presets: further editing presets whose statistics are reported.
        note: remark on this setting, printed under the table.
        store: folder of results.
        objective: metric that a hyperparameter search optimizes, ``KIND/STAGE.METRIC`` as
            ``evaluate/edited.heldout.bits_per_byte``, the mean over seeds; null for none.
        device: device that cost estimates assume: ``cpu``, ``a100``, ``h100`` or ``h200``, several
            of them as in ``8xh100``.
        dry_run: print the stages and their cost, run nothing.
        print_config: also print the whole resolved configuration.
        rehearse: run every stage with tiny models and little text (``experiments/rehearsal``).
        force: recompute stages of this kind or name, and all that depend on them.
    """

    name: str = ""
    plan: str = "train_on_edits"
    seed: int = 0
    arms: list[str] = field(default_factory=lambda: list(ARMS))
    controls: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    presets: list[str] = field(default_factory=list)
    note: str = ""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    generations: GenerationsConfig = field(default_factory=GenerationsConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    edit: EditRule = field(default_factory=EditRule)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    continued: ContinuedConfig = field(default_factory=ContinuedConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
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
    objective: str | None = None
    device: str = "cpu"
    dry_run: bool = False
    print_config: bool = False
    rehearse: bool = False
    force: str | None = None

    def __post_init__(self) -> None:
        self.store = local_path(self.store, "store=")
        self.note = published(self.note)
        names = {"name": self.name, **{f"tracker.{k}": v for k, v in vars(self.tracker).items()}}
        for name, value in names.items():
            if value and without_secrets(value) != value:
                raise UserError(f"{name} is published but holds what looks like a key or a token")
        low, high = SEEDS
        for seed in (self.seed, *self.seeds):
            if not low <= seed <= high:
                raise UserError(f"seed={str(seed)[:40]} is out of range; allowed: {low} to {high}")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds={self.seeds} must name each seed once")
        if self.train.fsdp and self.model.lora_rank:
            raise UserError("train.fsdp trains every weight: model.lora_rank must be 0")
        for arm in self.arms:
            require_choice("arms", arm, ARMS)
        for control in self.controls:
            require_choice("controls", control, CONTROLS)
        for name in self.presets:
            require_choice("presets", name, PRESETS)
