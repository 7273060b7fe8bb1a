"""The sweeper ``hydra/sweeper=optuna``; Hydra takes sweepers from this package alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
    Transformer,
)
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import MISSING, OmegaConf

from toedit.errors import UserError, short
from toedit.redaction import published

SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 10, "n_ei_candidates": 24, "multivariate": False},
    "random": {},
    "gp": {"n_startup_trials": 10},
    "nsgaii": {"population_size": 50, "crossover_prob": 0.9, "swapping_prob": 0.5},
    "grid": {},
}
"""Options of each sampler and their defaults; ``+hydra.sweeper.sampler.NAME=`` adds another."""

PRUNERS: dict[str, dict[str, Any]] = {
    "none": {},
    "median": {"n_startup_trials": 5, "n_warmup_steps": 0},
    "hyperband": {"min_resource": 1, "max_resource": "auto", "reduction_factor": 3},
}


@dataclass
class SearchConfig:
    """Configuration of a search.

    Attributes:
        sampler: chooses trials, with its options (``hydra/sweeper/sampler``).
        pruner: ends trials early, with its options (``hydra/sweeper/pruner``).
        direction: ``minimize`` or ``maximize``.
        n_trials: number of trials, with those of earlier commands.
        n_jobs: trials that the launcher runs at a time.
        params: ranges by field, in the syntax of overrides.
        study_name: of the study in its file; set for the jobs.
        storage: must be null: the study is a file in the folder of the sweep.
        max_failure_rate: no effect: a failed trial stops no other.
    """

    _target_: str = "hydra_plugins.optuna_search.OptunaSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    sampler: Any = MISSING
    pruner: Any = MISSING
    direction: str = "minimize"
    n_trials: int = 20
    n_jobs: int = 1
    params: dict[str, Any] | None = None
    study_name: str | None = None
    storage: Any = None
    max_failure_rate: float = 1.0


_STORE = ConfigStore.instance()
_STORE.store(group="hydra/sweeper", name="optuna", node=SearchConfig, provider="toedit")
for _name, _options in SAMPLERS.items():
    _node = {"name": _name, "seed": None, **_options}
    _STORE.store(group="hydra/sweeper/sampler", name=_name, node=_node, provider="toedit")
for _name, _options in PRUNERS.items():
    _node = {"name": _name, **_options}
    _STORE.store(group="hydra/sweeper/pruner", name=_name, node=_node, provider="toedit")


class OptunaSweeper(Sweeper):
    """Turn overrides into a search space, and trials into jobs of the launcher."""

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Create the launcher."""
        self.config: Any = config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if config.hydra.launcher.get("_target_", "").endswith("SlurmLauncher"):
            raise UserError(
                "a search cannot hand its trials to Slurm; submit this command itself, also as "
                "several jobs, which share the study"
            )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that the study lacks."""
        from experiments.sweeps.search import Search

        own: dict[str, Any] = self.settings["params"] or {}
        params = [f"{name}={value}" for name, value in own.items()]
        parsed = OverridesParser.create().parse_overrides([*params, *arguments])
        overrides = {override.get_key_element(): override for override in parsed}  # the last counts
        space, fixed = dict[str, Any](), list[str]()
        texts: dict[str, dict[str, Any]] = {}  # of choices, which the study has without secrets
        for name, override in overrides.items():
            if override.is_sweep_override():
                try:
                    space[name], texts[name] = distribution(override)
                except (ValueError, IndexError) as error:
                    raise UserError(f"{override.input_line}: {short(error)}") from error
            else:
                fixed.append(f"{name}={override.get_value_element_as_str()}")
        folder = Path(self.config.hydra.sweep.dir)
        search = Search(folder, space, self.settings, self.config.objective)

        def launch(trials: Sequence[tuple[int, dict[str, Any]]]) -> list[float | None]:
            jobs = [
                [
                    *(f"{name}={texts[name].get(value, value)}" for name, value in params.items()),
                    *fixed,
                    f"hydra.sweep.subdir={number}", f"hydra.sweeper.study_name={search.name}",
                ]
                for number, params in trials
            ]  # fmt: skip
            returned = self.launcher.launch(jobs, initial_job_idx=trials[0][0])
            return [job.return_value for job in returned]

        search.run(launch)


def distribution(override: Override) -> tuple[Any, dict[Any, Any]]:
    """The distribution of Optuna that an override describes; ``range`` excludes its end.

    Returns:
        The distribution, and the choices by what the study calls them.
    """
    from experiments.sweeps.study import optuna

    made, value = optuna().distributions, override.value()
    if isinstance(value, IntervalSweep):
        ends = (value.start, value.end)
        whole = all(isinstance(end, int) for end in ends)
        make = made.IntDistribution if whole else made.FloatDistribution
        return make(*ends, log="log" in value.tags), {}
    if isinstance(value, RangeSweep) and not value.shuffle:
        numbers = list(value.range())
        whole = all(isinstance(number, int) for number in numbers)
        make = made.IntDistribution if whole else made.FloatDistribution
        return make(numbers[0], numbers[-1], step=value.step), {}
    assert isinstance(value, ChoiceSweep | RangeSweep)
    choices = list(override.sweep_iterator(transformer=Transformer.encode))
    texts = {published(choice) if isinstance(choice, str) else choice: choice for choice in choices}
    if len(texts) < len(choices):
        raise ValueError("two choices are the same (secrets and home folders aside)")
    return made.CategoricalDistribution(list(texts)), texts
