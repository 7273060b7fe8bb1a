"""Pages of the documentation that are made, not written: results, and the list of experiments."""

from collections.abc import Sequence

from experiments.analysis.evidence import Evidence
from experiments.analysis.verdicts import (
    CONTRADICTED,
    EQUIVALENT,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    SMALLER,
    SUPPORTED,
    TOO_SMALL,
    UNDECIDED,
)
from experiments.config.headers import header, names
from experiments.reports import claims, stated
from experiments.reports.format import cell_text, table
from experiments.reports.tables import ledger, markdown, text_tables
from experiments.reports.tables.build import FilledTable

MADE = "<!-- Made by `python -m experiments.tables docs`; do not edit. -->"


def results_page(tables: Sequence[FilledTable], evidence: Evidence) -> str:
    """``docs/results.md``: verdicts, and every table that holds a number of ours."""
    filled, decided = [built for built in tables if built.filled], claims.decide(tables)
    empty = [str(built.table.number) for built in tables if not built.filled]
    parts = [
        "# Results",
        MADE,
        *opening(decided),
        claims_section(decided).rstrip(),
        "From the records in `results/`, which hold every answer that the tests below rest on. "
        "Embedded scale: small models on two processor cores, whose numbers stand apart from the "
        "paper's. `python -m experiments.tables` makes all tables again, `trace` says where a "
        "number comes from, `report` writes it all as one HTML page.",
        *stated_sections(evidence),
        *(markdown.markdown(built, empty_blocks=False).rstrip() for built in filled),
        text_tables.edits(evidence).rstrip(),
    ]
    if empty:
        parts.append(f"No run fills tables {', '.join(empty)} yet.")
    parts.append(ledger.markdown(evidence, tables).rstrip().replace("# Ledger", "## Ledger", 1))
    return "\n\n".join(parts) + "\n"


SAID = {
    "Reproduces": (SUPPORTED,),
    "Reproduces, but the effect is smaller than the margin": (SMALLER,),
    "Does not reproduce, the difference has the other sign": (CONTRADICTED,),
    "Does not reproduce, an effect as large as the margin is excluded": (NO_EFFECT, EQUIVALENT),
    "Not significant after correction": (),
    "Undecided": (UNDECIDED,),
    "Cannot be tested at this size, where models answer benchmarks by chance": (TOO_SMALL,),
    "Not testable, by one seed or without any variation": (NOT_TESTABLE,),
    "Not run": (NOT_RUN,),
}
"""What the verdicts come to for a reader, in the order in which they are told."""


def opening(decided: Sequence[claims.ClaimVerdict]) -> list[str]:
    """What reproduces, what does not, how sure and at what size, in a line each.

    Args:
        decided: the claims.

    Returns:
        Paragraphs of Markdown: the lines, and the picture of all claims.
    """
    lines = []
    for heading, verdicts in SAID.items():
        own = [c for c in decided if c.verdict.word in verdicts and not c.lost]
        own = [c for c in decided if c.lost] if not verdicts else own
        if own:
            lines.append(f"- **{heading}** ({len(own)}): " + "; ".join(map(claims.told, own)) + ".")
    sizes = dict.fromkeys(c.title for c in decided if c.title)
    if sizes:
        lines.append(f"- **At what size**: {'; '.join(sizes)}.")
    run = [c for c in decided if c.comparison is not None]
    older = sum(c.older for c in run)
    lines.append(
        "- **How sure**: 95 % intervals over seeds and held-out documents or items; verdicts hold "
        "after Holm's correction over the paper's claims, and over ours, unless said otherwise. "
        f"Comparisons and margins, or the rules that give them, were fixed before the runs of "
        f"{len(run) - older} of the {len(run)} claims that were run."
    )
    return ["\n".join(lines), "![All claims](figures/claims.png)"]


def claims_section(decided: Sequence[claims.ClaimVerdict]) -> str:
    """The table of claims, what it means, and what each verdict rests on."""
    details = [[cell_text(text) for text in row] for row in claims.details(decided)]
    parts = ["## Claims", table(claims.HEADER, claims.rows(decided)), claims.note()]
    if details:
        parts += ["### What the verdicts rest on", table(claims.DETAILS, details)]
    return "\n\n".join(parts) + "\n"


def stated_sections(evidence: Evidence) -> list[str]:
    """The findings about corpora and the statements of the theory."""
    parts = []
    for plan, (title, note) in stated.SECTIONS.items():
        rows = [[own.text, own.verdict, cell_text(own.numbers)]
                for own in stated.stated(plan, evidence)]  # fmt: skip
        if rows:
            parts += [f"## {title}", note, table(["statement", "verdict", "numbers"], rows)]
    return parts


def experiments_page() -> str:
    """``docs/experiments.md``: every experiment by the head of its file."""
    parts = [
        "# Experiments",
        MADE,
        "Each is a file of `conf/exp`; `python -m experiments.run +exp=NAME dry_run=true` says "
        "what it would do. Costs are measured on two processor cores where no other machine is "
        "named; estimates are called so.",
    ]
    for scale, own in (
        ("Embedded scale", [name for name in names() if "/" not in name]),
        ("The paper's scale", [name for name in names() if "/" in name]),
    ):
        parts.append(f"## {scale}")
        for name in own:
            found = header(name)
            lines = [f"### {name}", found.title, "```\n" + "\n".join(found.commands) + "\n```"]
            listed = "\n".join(f"- {key}: {text}" for key, text in found.said.items())
            parts += [*lines, listed]
    return "\n\n".join(parts) + "\n"
