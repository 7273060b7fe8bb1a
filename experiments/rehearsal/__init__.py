"""Rehearsal: run all stages of an experiment at the paper's scale in about a minute, anywhere.

A rule shrinks the configuration (:mod:`~experiments.rehearsal.rule`), tiny models of the same
families replace the models, and with ``HF_HUB_OFFLINE=1`` stand-ins replace data sets and
benchmarks. Everything else is the experiment: the same plan, the same code.
"""

from experiments.config import Config
from toedit.errors import UserError

PAPER = "paper/"


def rehearse(config: Config) -> Config:
    """The rehearsal of an experiment at the paper's scale; prints a line for each replacement.

    Raises:
        UserError: it is another experiment, the hub cannot be reached, or a name does not exist.
    """
    if not config.name.startswith(PAPER):
        raise UserError(
            f"rehearse=true is for experiments at the paper's scale (+exp={PAPER}…), not for "
            f"{config.name!r}, which is small as it is"
        )
    import torch

    from experiments.hub.access import require_access
    from experiments.hub.names import names_of
    from experiments.rehearsal.exchange import Exchange
    from experiments.rehearsal.rule import shrunk

    exchange = Exchange()
    if not exchange.offline:
        require_access(names_of(config), config.name)
    small = exchange.exchanged(shrunk(config, torch.cuda.device_count()))
    for line in exchange.lines:
        print(f"rehearsal: {line}")
    return small
