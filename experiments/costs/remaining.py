"""Estimate the time that a run still takes, corrected by how long its stages took."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from experiments.costs import devices
from experiments.costs.estimate import estimate
from experiments.stage import Stage
from toedit.devices import Device
from toedit.progress import working

ENOUGH = 5.0
"""Estimated seconds of finished stages from which on the estimates are corrected."""


class Remaining:
    """Seconds of the stages of a run that are not computed yet.

    Args:
        stages: all stages of the run.
        missing: those that it computes.
        on: the device of the estimates.
    """

    def __init__(self, stages: Sequence[Stage], missing: Sequence[Stage], on: Device) -> None:
        costs = estimate(stages)
        self.seconds = {stage: devices.seconds(costs[stage], on) for stage in missing}
        self.estimated = self.spent = 0.0

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Show the progress of a stage, and the time left of the run."""
        own = self.seconds.pop(stage, 0.0)
        factor = self.spent / self.estimated if self.estimated > ENOUGH else 1.0
        started = time.monotonic()
        later = factor * sum(self.seconds.values()) if self.seconds else None
        with working(f"{stage.kind}/{stage.name}", factor * own or None, later):
            yield
        self.estimated += own
        self.spent += time.monotonic() - started
