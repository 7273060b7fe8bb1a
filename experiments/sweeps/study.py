"""The study of a search: its file, its sampler and pruner, and the trial that a job computes."""

import inspect
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.config import Config
from experiments.config.compose import SweepJob
from experiments.config.launch import SLURM
from experiments.stage import Stage, digest
from experiments.sweeps.job import JobStatus, State
from experiments.sweeps.objective import objective_stages
from toedit.errors import Pruned, UserError, damaged, require_choice, short
from toedit.redaction import published

STUDY_FILE = "study.log"
"""Optuna's journal in the folder of a sweep; ``optuna-dashboard`` opens it."""

REPORTS = 20
"""Most reports of a training to its trial; each is a line of the journal."""

ERROR = "error"
"""Attribute of a trial that failed: why."""

SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler",
            "nsgaii": "NSGAIISampler", "grid": "GridSampler"}  # fmt: skip
PRUNERS = {"none": "NopPruner", "median": "MedianPruner", "hyperband": "HyperbandPruner"}
DIRECTIONS = ("minimize", "maximize")


def optuna() -> Any:
    """The package, without its log lines and warnings of what is experimental.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "hydra/sweeper=optuna is not installed here; in the clone: pip install -e '.[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def open_storage(folder: Path) -> Any:
    """The journal in the folder of a sweep.

    Raises:
        UserError: it is damaged.
    """
    journal = optuna().storages.journal
    path = folder / STUDY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    lock = journal.JournalFileOpenLock(str(path))  # the one of a killed process ends after 30 s
    backend = journal.JournalFileBackend(str(path), lock)
    with journal._file.get_lock_file(lock):
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):  # a line that a full disk cut short
            with path.open("r+b") as file:
                file.truncate(text.rfind(b"\n") + 1)
    try:
        return optuna().storages.JournalStorage(backend)
    except (ValueError, KeyError, TypeError) as error:
        line = damaged(path, error)
        raise UserError(f"{line}; delete it: the search finds its results in the store") from error


def make_sampler(options: dict[str, Any], space: dict[str, Any], number: int) -> Any:
    """The sampler of one trial.

    Its random numbers depend on seed and trial alone, so that a search that was interrupted
    chooses the trials of one that was not.

    Raises:
        UserError: sampler or option is unknown, or a grid has continuous ranges.
    """
    options = _named("sampler", options)
    name, seed = options["name"], options.get("seed")
    if name == "grid":
        options["search_space"] = {field: _choices(field, d) for field, d in space.items()}
    elif seed is not None:
        options["seed"] = int(digest([seed, number])[:8], 16)
    return _made("sampler", optuna().samplers, SAMPLERS, options)


def make_pruner(options: dict[str, Any]) -> Any:
    """The pruner; raises a UserError where it or an option is unknown."""
    return _made("pruner", optuna().pruners, PRUNERS, _named("pruner", options))


def _named(role: str, options: Any) -> dict[str, Any]:
    if not isinstance(options, dict) or "name" not in options:
        raise UserError(f"hydra.sweeper.{role}: choose one by hydra/sweeper/{role}=NAME")
    return dict(options)


def _made(role: str, module: Any, classes: dict[str, str], options: dict[str, Any]) -> Any:
    name, field = str(options.pop("name")), f"hydra/sweeper/{role}"
    require_choice(field, name, classes)
    make = getattr(module, classes[name])
    allowed = inspect.signature(make).parameters
    for option in options:
        require_choice(f"option of {field}={name}", option, allowed)
    try:
        return make(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{field}={name}: {short(error)}") from error


def _choices(field: str, distribution: Any) -> list[Any]:
    """All values of a discrete distribution."""
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    if distribution.step is None or distribution.log:
        raise UserError(f"{field}: a grid needs choice(...) or range(...), no interval")
    count = round((distribution.high - distribution.low) / distribution.step)
    return [distribution.low + i * distribution.step for i in range(count + 1)]


def state(trial: Any) -> str:
    """State of a trial in lower case: ``running``, ``complete`` or ``pruned``."""
    return str(trial.state.name).lower()


def trial_of(study: Any, trial: Any) -> Any:
    """An unfinished trial of a study, to go on with."""
    return optuna().trial.Trial(study, trial._trial_id)


class RunningTrial:
    """The trial that a job computes, in whatever process a launcher runs the job.

    Args:
        job: of a search.
    """

    def __init__(self, job: SweepJob) -> None:
        assert job.search is not None
        self.number, self.search, self.maximise = job.number, job.search, job.maximise
        storage = open_storage(job.folder.parent)
        pruner = make_pruner(self.search["pruner"])
        self.study = optuna().load_study(
            study_name=self.search["study_name"], storage=storage, pruner=pruner
        )
        self.frozen = self.study.get_trials(deepcopy=False)[self.number]
        self.finished = self.frozen.state.is_finished()
        if not self.finished and self.frozen.user_attrs.get(ERROR):
            self._note("")

    def _note(self, error: str) -> None:
        self.study._storage.set_trial_user_attr(self.frozen._trial_id, ERROR, error)

    def tell(self, status: JobStatus) -> None:
        """Record the end of the trial; one that failed stays open and is run again."""
        if self.finished:
            return
        if status.state == State.FAILED:
            self._note(published(status.reason))
        elif status.state == State.PRUNED:
            self.study.tell(self.number, state=optuna().trial.TrialState.PRUNED)
        elif status.value is not None:
            self.study.tell(self.number, status.value)

    def watching(
        self, config: Config, stages: list[Stage]
    ) -> Callable[[Stage, dict[str, float], int], None]:
        """A function that receives every step of every stage and reports to the trial.

        It reports the mean training loss since the last report, of the first training that the
        objective depends on.

        Raises:
            UserError: trials cannot be pruned with ``launch=slurm``.
        """
        pruning = self.search["pruner"]["name"] != "none"
        if pruning and config.launch.kind == SLURM:
            raise UserError(
                "launch=slurm trains when the job has ended, so nothing can be pruned: take "
                "hydra/launcher=submitit_slurm with another launch, or hydra/sweeper/pruner=none"
            )
        needed = [
            parent
            for stage in objective_stages(config.objective, stages)
            for parent in stage.upstream()
            if parent.kind == "train"
        ]
        watched, losses = next(iter(needed), None), dict[int, float]()
        trial = None if self.finished else trial_of(self.study, self.frozen)
        reported = set(self.frozen.intermediate_values)

        def watch(stage: Stage, values: dict[str, float], step: int) -> None:
            if stage is not watched or trial is None or "loss" not in values:
                return
            losses[step] = values["loss"]
            steps = stage.config.train.steps
            every = -(-steps // REPORTS)
            if step % every and step != steps:
                return
            loss = fmean(losses[s] for s in range(step - every + 1, step + 1) if s in losses)
            if step not in reported:
                reported.add(step)
                trial.report(-loss if self.maximise else loss, step)
            if step < steps and trial.should_prune():
                raise Pruned(f"pruned at step {step} of {steps}: loss {loss:.4g}")

        return watch


def write_importance(folder: Path) -> dict[str, float]:
    """Plot the importance of each parameter of the newest study of a sweep.

    Returns:
        The share of the objective's variance that each parameter explains (fANOVA), the largest
        first; empty where there are too few trials.
    """
    package = optuna()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    storage = open_storage(folder)
    names = [study.study_name for study in storage.get_all_studies()]
    if not names:
        return {}
    study = package.load_study(study_name=names[-1], storage=storage)
    evaluator = package.importance.FanovaImportanceEvaluator(seed=0)
    if len({trial.value for trial in study.trials if state(trial) == "complete"}) < 2:
        return {}
    try:
        shares = package.importance.get_param_importances(study, evaluator=evaluator)
        axes = package.visualization.matplotlib.plot_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # no field that all trials have
        return {}
    axes.figure.savefig(folder / "importance.png", bbox_inches="tight", dpi=150)
    return {name: float(share) for name, share in shares.items()}


def dumped(space: dict[str, Any]) -> list[str]:
    """Distributions as JSON, in order."""
    convert = optuna().distributions.distribution_to_json
    return [f"{name} {json.dumps(json.loads(convert(d)), sort_keys=True)}"
            for name, d in space.items()]  # fmt: skip
