"""The claims: their file, their margins, and verdicts from tables."""

import csv
import math
import re
from dataclasses import replace
from io import StringIO

import pytest
from written import block_of, evaluation, run, three_arms

from experiments import tables as command
from experiments.analysis.claims import read_claims
from experiments.analysis.evidence import Evidence
from experiments.analysis.verdicts import (
    NOT_RUN,
    NOT_TESTABLE,
    SUPPORTED,
    TOO_SMALL,
    VERDICTS,
)
from experiments.reports import claims, forest, pages, printed
from experiments.reports.tables.build import build
from experiments.reports.tables.catalogue import MORE_TOKENS, TABLES
from experiments.reports.tables.layout import EMBEDDED_TOKENS

CLAIMS, IDENTITY = read_claims()
NAME = "cpt_biomedicine"


def printed_gain(claim) -> float:
    """The difference of two printed rows over the columns that count: points, or mean log ratio."""
    changes = []
    for table in claim.printed["tables"]:
        rows = printed.rows(table)
        pair = [
            next(row for row in rows if claim.printed[side].items() <= row.keys.items())
            for side in ("first", "second")
        ]
        for column in claim.printed.get("columns", pair[0].cells):
            first, second = (float(row.cells[column].rstrip("%")) for row in pair)
            ratio = claim.column != "average"
            changes.append(math.log(first / second) if ratio else first - second)
    return sum(changes) / len(changes)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_margin_is_the_printed_gain_or_a_rule(claim):
    if not claim.printed:
        ((rule, share),) = claim.margin.items()
        assert claim.of is not None or claim.family == "ours"
        assert set(claims.MARGINS[rule]) <= {row.label for row in rows_of(claim)}
        assert 0 < share < 1
        return
    digits = len(str(claim.margin).partition(".")[2])
    assert round(claim.sign * printed_gain(claim), digits) == pytest.approx(
        claim.margin, abs=1.01 * 10**-digits
    )


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_names_rows_that_its_tables_have(claim):
    blocks = {block.name: block for block in TABLES[claim.table].blocks}
    assert set(claim.blocks) <= set(blocks)
    for name in claim.blocks:
        labels = {claims.ALIASES.get(row.label, row.label) for row in blocks[name].rows}
        assert {claim.first, claim.second} <= labels, name


def rows_of(claim):
    """Rows of the first block of a claim at our own scale."""
    blocks = (block for block in TABLES[claim.table].blocks if block.name in claim.blocks)
    return next(block.rows for block in blocks if block.scale == "embedded")


def test_a_claim_stands_before_what_restates_it():
    names = [claim.id for claim in CLAIMS]
    for place, claim in enumerate(CLAIMS):
        if claim.of is not None:
            assert names[place - 1] == claim.of
            assert claims.label(claim).startswith("– ")


def decide(store) -> dict:
    evidence = Evidence([store])
    built = [build(table, evidence) for table in TABLES.values()]
    return {own.claim.id: own for own in claims.decide(built)}


def test_one_seed_never_decides_a_claim_about_training(tmp_path):
    three_arms(tmp_path)
    found = decide(tmp_path)
    assert found[NAME].word == NOT_TESTABLE
    assert found[NAME].verdict.why == "one seed"
    assert {own.word for name, own in found.items() if name != NAME} == {NOT_RUN}


def test_several_seeds_decide_and_say_what_they_rest_on(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    found = decide(tmp_path)[NAME]
    assert (found.word, found.scale) == (SUPPORTED, "embedded")
    assert found.p_holm == pytest.approx(found.estimate.p)  # it is the only one that was run
    assert found.older  # records of 2026-01-01
    row = next(row for row in claims.details([found]) if row[0] == found.claim.name)
    assert "3 seeds, 180 items" in row
    assert "older runs" in row[2]


def test_arms_at_chance_are_not_tested(tmp_path, monkeypatch):
    three_arms(tmp_path, (0, 1, 2))
    monkeypatch.setattr(claims, "_above_chance", lambda row, column: False)
    found = decide(tmp_path)[NAME]
    assert found.word == TOO_SMALL
    assert "chance" in found.verdict.why
    assert "items would find the margin" in found.verdict.why
    assert "OLMo-1B" in found.verdict.why


def test_holm_is_over_the_claims_that_were_tested(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    found = decide(tmp_path)
    tested = [own for own in found.values() if own.p_holm is not None]
    assert [own.claim.id for own in tested] == [NAME]
    assert all(own.word.removesuffix(" †") in VERDICTS for own in found.values())


def test_the_first_screen_is_the_table_of_claims(tmp_path, capsys):
    three_arms(tmp_path, (0, 1, 2))
    command.main(["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    lines = capsys.readouterr().out.splitlines()
    assert re.split("  +", lines[0]) == list(claims.HEADER)
    end = next(i for i, line in enumerate(lines) if line.startswith("table "))
    screen = lines[:end]
    assert max(map(len, screen)) <= 80
    assert sum(line.endswith(f"  {NOT_RUN}") for line in screen) == len(CLAIMS) - 1
    assert IDENTITY["claims_sha256"] in " ".join(screen)
    rows = list(csv.DictReader(StringIO((tmp_path / "out" / "claims.csv").read_text())))
    own = next(row for row in rows if row["id"] == NAME)
    estimate = decide(tmp_path)[NAME].estimate
    assert (float(own["value"]), float(own["p"])) == (estimate.value, estimate.p)
    assert claims.details(list(decide(tmp_path).values()))


def test_a_margin_of_our_own_is_a_share_of_the_gain_over_the_base(tmp_path, monkeypatch):
    three_arms(tmp_path, (0, 1, 2))
    fields = {"blocks": ("biomedicine-embedded",), "column": "held-out bits/byte", "sign": -1}
    own = replace(
        next(claim for claim in CLAIMS if claim.id == NAME), **fields, margin={"share_of_gain": 0.5}
    )
    monkeypatch.setattr(claims, "read_claims", lambda: ((own,), IDENTITY))
    found = decide(tmp_path)[NAME]
    rows = {row.row.label: row.cells["held-out bits/byte"].value
            for row in block_of(tmp_path)[1].rows}  # fmt: skip
    assert found.margin == pytest.approx(0.5 * (rows["base"] - rows["CPT"]))
    assert found.verdict.word == SUPPORTED
    other = replace(own, margin={"more_tokens": 0.1})  # no such row was run
    monkeypatch.setattr(claims, "read_claims", lambda: ((other,), IDENTITY))
    assert decide(tmp_path)[NAME].margin is None


def test_the_picture_shows_claims_in_margins(tmp_path, monkeypatch):
    three_arms(tmp_path, (0, 1, 2))
    found = decide(tmp_path)[NAME]
    value, low, high = forest.in_margins(found)
    assert (value, low, high) == pytest.approx(
        [end / 2.05 for end in (found.estimate.value, found.estimate.low, found.estimate.high)]
    )
    turned = replace(found, claim=replace(found.claim, sign=-1))
    assert forest.in_margins(turned) == pytest.approx((-value, -high, -low))
    drawn = forest.forest_figure([found, turned, replace(found, margin=None)], tmp_path)
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert forest.forest_figure([replace(found, comparison=None)], tmp_path / "none") is None


def test_the_opening_tells_every_claim_once_under_its_verdict(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    decided = list(decide(tmp_path).values())
    text, picture = pages.opening(decided)
    lines = text.splitlines()
    assert picture.endswith("(figures/claims.png)")
    assert len(lines) <= 11
    for own in decided:
        assert sum(claims.sentence(own) in line for line in lines) >= 1
    counts = [int(line.partition(" (")[2].partition(")")[0]) for line in lines[:-2]]
    assert sum(counts) == len(CLAIMS)
    assert lines[0].startswith("- **Reproduces** (1): ")


def scratch(root, seeds=(0, 1, 2)):
    """Models from scratch of table 2: source, source of 10 % more tokens, and ToEdit."""
    stages = {}
    for number, (arm, tokens, nll) in enumerate(
        (("source", EMBEDDED_TOKENS, 20.0), ("source", MORE_TOKENS, 19.0),
         ("edited", EMBEDDED_TOKENS, 18.0))
    ):  # fmt: skip
        for seed in seeds:
            held = [nll + seed / 10 + n for n in range(8)]
            label = evaluation(root, arm, seed, {}, held, tokens=tokens)
            stages[f"evaluate/{arm}-seed{seed}"] = label
            run(root, f"pretrain_toedit-{number}{seed}", "pretrain_toedit",
                {f"evaluate/{arm}-seed{seed}": label})  # fmt: skip
    return stages


def test_a_margin_of_more_tokens_is_what_the_source_gains_by_them(tmp_path):
    scratch(tmp_path)
    found = decide(tmp_path)["pretrain_toedit_bits"]
    bits = {row.row.label: row.cells["human bits/byte"].value
            for row in block_of(tmp_path, 2, "embedded")[1].rows if row.cells}  # fmt: skip
    assert found.margin == pytest.approx(bits["source"] - bits["source, 10 % more tokens"])
    assert found.margin == pytest.approx(1 / 40 / math.log(2))
    assert (found.estimate.n_seeds, found.verdict.word) == (3, SUPPORTED)


def test_a_margin_is_none_where_nothing_was_gained(tmp_path, monkeypatch):
    scratch(tmp_path)
    own = next(claim for claim in CLAIMS if claim.id == "pretrain_toedit_bits")
    monkeypatch.setattr(claims, "SOURCE", "ToEdit")  # better than the source of more tokens
    monkeypatch.setattr(claims, "read_claims", lambda: ((own,), IDENTITY))
    found = decide(tmp_path)["pretrain_toedit_bits"]
    assert (found.margin, found.verdict.word) == (None, SUPPORTED)
    assert found.p_margin_holm is None


def test_a_claim_may_name_its_rows_in_either_order(tmp_path, monkeypatch):
    three_arms(tmp_path, (0, 1, 2))
    own = next(claim for claim in CLAIMS if claim.id == NAME)
    turned = replace(own, id="turned", first=own.second, second=own.first, sign=-own.sign)
    monkeypatch.setattr(claims, "read_claims", lambda: ((own, turned), IDENTITY))
    found = decide(tmp_path)
    assert found["turned"].estimate == found[NAME].estimate.negated
    assert found["turned"].verdict == found[NAME].verdict
