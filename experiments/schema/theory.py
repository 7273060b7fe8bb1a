"""Type of the linear-regression experiment."""

from dataclasses import dataclass, field

from experiments.schema.checks import positive
from toedit.errors import UserError
from toedit.theory.procedure import Schedule, require_size

LARGEST = 20_000


@dataclass
class TheoryConfig:
    """Iterated training in linear regression (``toedit/theory``).

    Attributes:
        rows: T, rows of the data.
        features: d, weights of the model.
        sigma: standard deviation of the noise.
        scales: standard deviation of each feature; empty for 1.
        generations: models, the first included.
        draws: repetitions of the Monte Carlo.
        schedules: which rows are edited, a curve each.
    """

    rows: int = 200
    features: int = 10
    sigma: float = 1.0
    scales: list[float] = field(default_factory=list)
    generations: int = 10
    draws: int = 1000
    schedules: list[Schedule] = field(default_factory=list)

    def __post_init__(self) -> None:
        positive("theory", self, "sigma", "generations")
        require_size(self.rows, self.features)
        if self.rows > LARGEST:
            raise UserError(
                f"theory.rows={self.rows} is out of range; allowed: up to {LARGEST}, since the "
                "exact recursion keeps T x T numbers"
            )
        if self.draws < 2:
            raise UserError(f"theory.draws={self.draws} must be at least 2, to show an error")
        if self.scales and (len(self.scales) != self.features or min(self.scales) <= 0):
            raise UserError(
                f"theory.scales must hold {self.features} numbers above 0, one a feature"
            )
        for schedule in self.schedules:
            schedule.fractions(self.generations - 1)
        labels = [schedule.label for schedule in self.schedules]
        if len(set(labels)) < len(labels):
            raise UserError("theory.schedules must name each schedule once")
