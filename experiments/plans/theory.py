"""Simulate the linear-regression theory of the paper's section 4.

simulate
"""

from experiments.config import Config
from experiments.stage import Stage
from experiments.stages import simulate
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """The simulation of all schedules; raises a UserError if there is none."""
    if not config.theory.schedules:
        raise UserError("plan=theory needs theory.schedules=[{kind: collapse}, …]")
    return [simulate.stage(config.theory, config.seed)]
