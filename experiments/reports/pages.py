"""Generate the pages docs/results.md, docs/experiments.md and docs/fields.md."""

from collections.abc import Sequence
from itertools import groupby

from experiments.analysis import verdicts
from experiments.analysis.evidence import Evidence
from experiments.config.headers import header, names
from experiments.config.reference import Field, choices, fields
from experiments.reports import claims
from experiments.reports.format import cell_text, table
from experiments.reports.page_verdicts import HEADER, page_verdicts
from experiments.reports.tables import ledger, markdown, text_tables
from experiments.reports.tables.build import FilledTable

GENERATED = "<!-- Made by `python -m experiments.tables docs`; do not edit. -->"


def results_page(tables: Sequence[FilledTable], evidence: Evidence) -> str:
    """Generate ``docs/results.md``: verdicts, and every table with a number of our own runs."""
    decisions = claims.decide(tables)
    filled = [item for item in tables if item.filled]
    empty = [str(item.table.number) for item in tables if not item.filled]
    parts = [
        "# Results",
        GENERATED,
        *opening(decisions),
        claims_section(decisions).rstrip(),
        "From the records in `results/`, which hold every answer that the tests below rest on. "
        "Embedded scale: small models on two processor cores, whose numbers stand apart from the "
        "paper's. `python -m experiments.tables` makes all tables again, `trace` says where a "
        "number comes from, `report` writes it all as one HTML page.",
        *verdict_sections(evidence),
        *(markdown.markdown(item, empty_blocks=False).rstrip() for item in filled),
        text_tables.edits(evidence).rstrip(),
    ]
    if empty:
        parts.append(f"No run fills tables {', '.join(empty)} yet.")
    parts.append(ledger.markdown(evidence, tables).rstrip().replace("# Ledger", "## Ledger", 1))
    return "\n\n".join(parts) + "\n"


HEADINGS = {
    "Reproduces": (verdicts.SUPPORTED,),
    "Reproduces, but the effect is smaller than the margin": (verdicts.SMALLER,),
    "Does not reproduce, the difference has the other sign": (verdicts.CONTRADICTED,),
    "Does not reproduce, an effect as large as the margin is excluded": (
        verdicts.NO_EFFECT,
        verdicts.EQUIVALENT,
    ),
    "Not significant after correction": (),
    "Undecided": (verdicts.UNDECIDED,),
    "Cannot be tested at this size, where models answer benchmarks by chance": (
        verdicts.TOO_SMALL,
    ),
    "Not testable, by one seed or without any variation": (verdicts.NOT_TESTABLE,),
    "Not run": (verdicts.NOT_RUN,),
}
"""Headings of the opening, in order, and the verdicts under each."""


def opening(decisions: Sequence[claims.ClaimVerdict]) -> list[str]:
    """Summarise the claims: the list of claims by heading, and the figure of all claims."""
    lines = []
    for heading, words in HEADINGS.items():
        group = [v for v in decisions if v.verdict.word in words and not v.insignificant]
        group = group if words else [v for v in decisions if v.insignificant]
        if group:
            sentences = "; ".join(map(claims.sentence, group))
            lines.append(f"- **{heading}** ({len(group)}): {sentences}.")
    sizes = dict.fromkeys(v.title for v in decisions if v.title)
    if sizes:
        lines.append(f"- **At what size**: {'; '.join(sizes)}.")
    run = [v for v in decisions if v.comparison is not None]
    older = sum(v.older for v in run)
    lines.append(
        "- **How sure**: 95 % intervals over seeds and held-out documents or items; verdicts hold "
        "after Holm's correction over the paper's claims, and over ours, unless said otherwise. "
        f"Comparisons and margins, or the rules that give them, were fixed before the runs of "
        f"{len(run) - older} of the {len(run)} claims that were run."
    )
    return ["\n".join(lines), "![All claims](figures/claims.png)"]


def claims_section(decisions: Sequence[claims.ClaimVerdict]) -> str:
    """Format the table of claims, its explanation, and what each verdict is based on."""
    details = [[cell_text(text) for text in row] for row in claims.details(decisions)]
    parts = ["## Claims", table(claims.HEADER, claims.rows(decisions)), claims.note()]
    if details:
        parts += ["### What the verdicts rest on", table(claims.DETAILS, details)]
    return "\n\n".join(parts) + "\n"


def verdict_sections(evidence: Evidence) -> list[str]:
    """Format the findings about corpora and the statements of the theory."""
    parts = []
    for title, note, items in page_verdicts(evidence):
        rows = [[text, word, cell_text(numbers)] for text, word, numbers in items]
        parts += [f"## {title}", note, table(HEADER, rows)]
    return parts


def experiments_page() -> str:
    """Generate ``docs/experiments.md``: every experiment by the comment at the head of its file."""
    parts = [
        "# Experiments",
        GENERATED,
        "Each is a file of `conf/exp`; `python -m experiments.run +exp=NAME dry_run=true` says "
        "what it would do. Costs are measured on two processor cores where no other machine is "
        "named; estimates are called so.",
    ]
    for scale, listed in (
        ("Embedded scale", [name for name in names() if "/" not in name]),
        ("The paper's scale", [name for name in names() if "/" in name]),
    ):
        parts.append(f"## {scale}")
        for name in listed:
            head = header(name)
            lines = [f"### {name}", head.title, "```\n" + "\n".join(head.commands) + "\n```"]
            facts = "\n".join(f"- {key}: {text}" for key, text in head.sections.items())
            parts += [*lines, facts]
    return "\n\n".join(parts) + "\n"


def fields_page() -> str:
    """Generate ``docs/fields.md``: every field of the configuration by its docstring."""
    parts = [
        "# Fields of the configuration",
        GENERATED,
        "Each is set as `FIELD=VALUE` on the command line, or in a file of `conf/` or "
        "`--config-dir`; `python -m experiments.run --help FIELD` prints these lines. Files that "
        "a group names set many of its fields: `GROUP=FILE`.",
    ]
    for group, listed in groupby(fields(), key=lambda field: field.group):
        rows = list(listed)
        new = [row for row in rows if not row.like or row.default != _default(row.like)]
        parts.append(f"## {group or 'The experiment'}")
        if files := choices(group) if group.isidentifier() else []:
            parts.append(f"Files: {', '.join(f'`{name}`' for name in files)}.")
        if rows[0].like:
            other = rows[0].like.rpartition(".")[0]
            parts.append(f"As `{other}`{', but' if new else '.'}")
        if new:
            parts.append("\n".join(map(_line, new)))
    return "\n\n".join(parts) + "\n"


def _line(field: Field) -> str:
    default = f"=`{field.default}`" if field.default else ""
    return f"- **{field.name.rpartition('.')[2]}**{default} ({field.takes}): {field.meaning}."


def _default(name: str) -> str:
    known: dict[str, Field] = {field.name: field for field in fields()}
    return known[name].default
