"""Search with Optuna: ask for trials, give them to the launcher of the jobs.

The study is a file in the folder of the sweep (:data:`experiments.sweeps.study.STUDY_FILE`), and
each job tells it its value. Commands on the same study divide the trials: who runs one holds the
lock ``trials/NUMBER``. A trial without result whose lock is free was killed or failed, and is run
again with its parameters. The first command also repeats finished trials, whose stages are in the
store, and so notices where results changed.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from experiments.stage import digest
from experiments.sweeps.job import STATUS_FILE, trial_lock
from experiments.sweeps.study import (
    DIRECTIONS,
    ERROR,
    dumped,
    make_pruner,
    make_sampler,
    open_storage,
    optuna,
    state,
    trial_of,
)
from toedit.corpora.files import remove
from toedit.errors import UserError, require_choice
from toedit.locks import is_locked, locked

Trials = list[tuple[int, dict[str, Any]]]
"""Numbers and parameters of trials."""


class Search:
    """A search over a space by trials that a function runs.

    Args:
        folder: of the sweep.
        space: Optuna's distribution of each field.
        settings: of the sweeper (``hydra_plugins/optuna_search.py``).
        objective: the metric to optimize.

    Raises:
        UserError: a setting is not possible.
    """

    def __init__(
        self, folder: Path, space: dict[str, Any], settings: dict[str, Any], objective: str | None
    ) -> None:
        self.folder, self.space, self.settings = folder, space, settings
        sampler, pruner, direction = (settings[n] for n in ("sampler", "pruner", "direction"))
        if objective is None:
            raise UserError("a search needs a metric to optimize: objective=KIND/ARM.METRIC")
        if settings["storage"] is not None:
            raise UserError("hydra.sweeper.storage: the study is a file of the sweep; leave it out")
        require_choice("hydra.sweeper.direction", str(direction), DIRECTIONS)
        for name in ("n_trials", "n_jobs"):
            if settings[name] < 1:
                raise UserError(f"hydra.sweeper.{name}={settings[name]} must be at least 1")
        make_sampler(sampler, space, 0)
        make_pruner(pruner)
        identity = digest([dumped(space), sampler, pruner, direction])[:8]
        self.name = f"{folder.name}-{identity}"
        self.study = self._open()

    def _open(self) -> Any:
        return optuna().create_study(
            storage=open_storage(self.folder),
            study_name=self.name,
            direction=self.settings["direction"],
            load_if_exists=True,
        )

    def run(self, launch: Callable[[Trials], Sequence[float | None]]) -> None:
        """Run trials until all have been run once, here or by another command.

        Args:
            launch: runs trials and returns their values, None where there is none.
        """
        first = self.study.get_trials(deepcopy=False)
        alone = not any(is_locked(trial_lock(self.folder, trial.number)) for trial in first)
        known = {
            trial.number: trial.state.is_finished()
            for trial in first
            if not trial.state.is_finished() or (alone and state(trial) == "complete")
        }
        ended: set[int] = set()
        while True:
            with ExitStack() as claims:
                batch, busy = self._claim(claims, known, ended)
                ended |= {number for number, _ in batch}
                values = launch(batch) if batch else []
                changed = self._changed(batch, values)
            if changed:
                print(f"{changed}: the search begins anew, with the stages that are in the store",
                      file=sys.stderr)  # fmt: skip
                optuna().delete_study(study_name=self.name, storage=open_storage(self.folder))
                self.study = self._open()
                known, ended = {}, set()
            elif not batch:
                if busy is None:
                    return
                with locked(trial_lock(self.folder, busy), f"trial {busy}"):
                    continue

    def _claim(
        self, claims: ExitStack, known: dict[int, bool], ended: set[int]
    ) -> tuple[Trials, int | None]:
        """Take trials that nobody runs, asking for new ones if needed.

        Args:
            claims: receives their locks.
            known: trials of earlier commands, and whether they finished: to run again, unless
                another command did.
            ended: trials that this command has run.

        Returns:
            The trials, and the number of one that another command runs.
        """
        batch, busy = Trials(), None
        with locked(self.folder / "trials" / "study", f"the study {self.folder.name}"):
            trials = self.study.get_trials(deepcopy=False)
            if not trials:  # what an earlier study left
                for path in self.folder.glob(f"*/{STATUS_FILE}"):
                    remove(path.parent)
            for number in range(self.settings["n_trials"]):
                if len(batch) == self.settings["n_jobs"]:
                    break
                trial = trials[number] if number < len(trials) else None
                finished = trial is not None and trial.state.is_finished()
                over = finished or (trial is not None and trial.user_attrs.get(ERROR))
                if number in ended or (over and known.get(number) != finished):
                    continue
                lock = locked(trial_lock(self.folder, number), f"trial {number}", wait=False)
                try:
                    claims.enter_context(lock)
                except UserError:
                    busy = number
                    if trial is None:  # of a search with other settings in the same folder
                        break
                    continue
                batch.append((number, self._params(number, trial)))
        return batch, busy

    def _params(self, number: int, trial: Any) -> dict[str, Any]:
        """The parameters of a trial, sampled where it has none yet."""
        if trial is not None and trial.params.keys() >= self.space.keys():
            return {name: trial.params[name] for name in self.space}
        self.study.sampler = make_sampler(self.settings["sampler"], self.space, number)
        if trial is None:
            new = self.study.ask(self.space)
        else:  # killed while it was sampled
            new = trial_of(self.study, trial)
            for name, distribution in self.space.items():
                new._suggest(name, distribution)
        assert new.number == number
        return {name: new.params[name] for name in self.space}

    def _changed(self, batch: Trials, values: Sequence[float | None]) -> str:
        """Which repeated trial has another value than before; empty for none."""
        trials = self.study.get_trials(deepcopy=False)
        for (number, _), value in zip(batch, values, strict=True):
            before = trials[number].value if state(trials[number]) == "complete" else None
            if None not in (before, value) and before != value:
                return f"trial {number} had the value {before:.6g}, now {value:.6g}"
        return ""
