"""``python -m fuzz [CASE ...]``: run the campaign, or some of its cases with what they print."""

import argparse
import os
import sys
from functools import partial
from random import Random

from . import campaign


def main() -> None:
    """Entry point; the exit code is 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help="KIND-NUMBER, or KIND for all of it"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case")
    arguments = parser.parse_args()
    words = set(arguments.cases)
    chosen = [
        name for name in campaign.names() if not words or {name, name.rpartition("-")[0]} & words
    ]
    chosen = chosen[:: arguments.every]
    Random(0).shuffle(chosen)
    outcomes = campaign.run(chosen, arguments.workers)
    if len(chosen) == 1:
        (outcome,) = outcomes
        print(outcome.output, file=sys.stderr)
        outcomes = iter([outcome])
    sys.exit(campaign.report(outcomes, partial(print, flush=True)) > 0)


if __name__ == "__main__":
    main()
