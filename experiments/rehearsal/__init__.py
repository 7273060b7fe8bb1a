"""Rehearsal: the whole of an experiment at the paper's scale in a minute or so, on any machine.

Its real configuration is made small by a rule (:mod:`~experiments.rehearsal.rule`), its models are
exchanged for tiny ones of their families, and with ``HF_HUB_OFFLINE=1`` its data sets and
benchmarks for stand-ins. Everything else is the experiment: the same plan, the same code.
"""

from experiments.config import Config
from toedit.errors import UserError

PAPER = "paper/"


def rehearse(config: Config) -> Config:
    """The experiment as it is rehearsed; prints a line for everything that is exchanged.

    Args:
        config: an experiment at the paper's scale.

    Raises:
        UserError: it is another, the hub cannot be reached, or it names what does not exist.
    """
    from experiments.rehearsal.exchange import Exchange, accelerators
    from experiments.rehearsal.rule import shrunk

    if not config.name.startswith(PAPER):
        raise UserError(
            f"rehearse=true is for experiments at the paper's scale (+exp={PAPER}…), not for "
            f"{config.name!r}, which is small as it is"
        )
    exchange = Exchange()
    small = exchange.exchanged(shrunk(config, accelerators()))
    for line in exchange.said:
        print(f"rehearsal: {line}")
    return small
