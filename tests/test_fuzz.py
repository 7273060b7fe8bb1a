"""The campaign of ``make fuzz`` in short, and its harness, which must notice what goes wrong."""

import pytest
from fuzz import campaign
from fuzz.case import Case, Command

MISBEHAVIOUR = {
    "raise": "exit code 1 (ValueError: a bug at ",
    "hang": "ran longer than 1 s",
    "silent": "exit code 2 with 0 error lines",
    "outside": "changed 'outside/canary.txt'",
    "remove": "removed 'home/canary.txt'",
    "temporary": "created 'tmp/rest'",
    "secret": "wrote a secret into 'cwd/out'",
    "tell": "printed the secret WANDB_API_KEY",
    "escape": "printed the control character '\\x1b'",
    "process": "left processes behind",
    "memory": "exit code 1 (MemoryError",
}


def case(what: str) -> Case:
    command = Command((what,), "fuzz.misbehaving", limit=1 if what == "hang" else 20)
    return Case(what, what, (command,))


def test_the_harness_notices_misbehaviour():
    for outcome in campaign.run(map(case, MISBEHAVIOUR), 1):
        (problem,) = outcome.problems
        assert problem.startswith(MISBEHAVIOUR[outcome.case]), problem


@pytest.mark.parametrize("what", ["refuse", "nothing"])
def test_the_harness_accepts_a_good_end(what):
    (outcome,) = campaign.run([case(what)], 1)
    assert not outcome.problems


def test_a_sample_of_the_campaign_ends_well():
    assert campaign.report(campaign.run(campaign.sample(60), 1)) == 0


def test_a_case_is_the_same_every_time(tmp_path):
    for name in campaign.sample(20):
        first, second = (campaign.case_of(name, tmp_path) for _ in range(2))
        assert (first.summary, first.commands) == (second.summary, second.commands)
