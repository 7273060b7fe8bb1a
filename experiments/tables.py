"""The paper's tables from the records of runs: ``python -m experiments.tables``.

Fill the tables, compare, write them down; say where a number comes from; audit the printed ones.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from toedit.errors import Parser, UserError, one_line_errors

FORMATS = ("md", "tex", "csv")
DEFAULT_STORES = ("store", "results")
COMMANDS = {"trace", "audit", "report", "observations"}
"""Commands that have a help of their own."""


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(
        prog="python -m experiments.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _reading(top, argparse.SUPPRESS)
    top.set_defaults(store=None, out=Path("tables"))
    top.add_argument("--table", action="append", metavar="N", help="only these, 3 or 3,5")
    top.add_argument("--format", default="md,tex,csv", metavar="md,tex,csv")
    top.add_argument("--scale", choices=("embedded", "paper"), help="only blocks of this scale")
    top.add_argument("--no-figures", action="store_true", help="tables alone")
    commands = top.add_subparsers(dest="command", metavar="trace|audit|report|observations|docs")
    trace = commands.add_parser("trace", help="where a number comes from")
    trace.add_argument("cell", help="its id, as 3.biomedicine.ToEdit.PubMedQA, or a beginning")
    commands.add_parser("audit", help="the printed tables, recomputed from their own numbers")
    report = commands.add_parser("report", help="one HTML file with everything, report.html")
    report.add_argument("--tracker", default="wandb", choices=("wandb", "none"))
    observations = commands.add_parser(
        "observations", help="a row a model, item and metric, as observations.parquet"
    )
    commands.add_parser(
        "docs", help="docs/results.md, docs/experiments.md and the pages in results/, from results/"
    )
    for command in (trace, report, observations):
        _reading(command, argparse.SUPPRESS)
    return top


def _reading(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--store", action="append", type=Path, metavar="DIR", default=default,
        help="a store of results; several are merged (default: store and results, if they are "
        "there)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=default,
        help="where files go (default: tables)",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    with one_line_errors():
        given = sys.argv[1:] if argv is None else argv
        if {"-h", "--help"} & set(given) and not COMMANDS & set(given):
            parser().print_help()
            rest = [word for word in given if word not in ("-h", "--help")]
            print("\n" + overview(_stores(parser().parse_args(rest).store)))
            return
        arguments = parser().parse_args(given)
        if arguments.command == "audit":
            from experiments.reports.audit import audit, markdown

            print(markdown(audit()))
        elif arguments.command == "trace":
            trace(arguments)
        elif arguments.command == "report":
            report(arguments)
        elif arguments.command == "observations":
            observations(arguments)
        elif arguments.command == "docs":
            docs(Path("docs"), Path("results"))
        else:
            tables(arguments)


def _stores(given: list[Path] | None) -> list[Path]:
    """The stores to read.

    Raises:
        UserError: one that was named is not there.
    """
    if given is None:
        return [Path(name) for name in DEFAULT_STORES if Path(name).is_dir()]
    for store in given:
        if not (store / "reports").is_dir():
            raise UserError(
                f"no results at {str(store)!r}: a store has a folder reports; run an experiment, "
                "or name another with --store DIR"
            )
    return given


def _chosen(texts: list[str] | None) -> list[int]:
    """Numbers of tables.

    Raises:
        UserError: there is no such table.
    """
    from experiments.reports.tables.catalogue import TABLES
    from experiments.reports.tables.text_tables import WORDS

    known = sorted([*TABLES, *WORDS])
    names = [name for text in texts or [] for name in text.split(",")]
    for name in names:
        if not name.isdecimal() or int(name) not in known:
            allowed = ", ".join(map(str, known))
            raise UserError(f"--table {name}: there is no such table; allowed: {allowed}")
    return [int(name) for name in names] or known


def overview(stores: Sequence[Path]) -> str:
    """The tables with the experiments that fill them, and how far they are filled."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES

    evidence = Evidence(stores)
    lines = ["tables, the experiments that fill them, and cells filled:"]
    for table in TABLES.values():
        built = build(table, evidence, compare=False)
        lines.append(f"  {table.number:>2}  {table.title}")
        for block in built.blocks:
            names = dict.fromkeys(
                row.row.experiment or block.block.experiment for row in block.rows
            )
            lines.append(f"        {block.filled:>3} of {block.total:<3} {', '.join(names)}")
    return "\n".join([*lines, "  10, 12 and 18 hold words and text"])


WIDTH = 100
"""Characters of a line of the first screen."""


def _write(path: Path, text: str) -> None:
    from toedit.corpora.files import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def tables(arguments: argparse.Namespace) -> None:
    """Writes tables, figures and the ledger; prints those that were named, else a summary."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports import claims, pages
    from experiments.reports.forest import forest_figure
    from experiments.reports.format import table
    from experiments.reports.tables import files, ledger, markdown, run_figures
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES
    from experiments.reports.tables.layout import SCALES
    from experiments.reports.tables.text_tables import WORDS

    formats = arguments.format.split(",")
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--format {name}: unknown; allowed: {', '.join(FORMATS)}")
    evidence, built, lines = Evidence(_stores(arguments.store)), [], []
    scales = [arguments.scale] if arguments.scale else SCALES
    for number in _chosen(arguments.table):
        if number in WORDS:
            text = WORDS[number](evidence)
        else:
            own = build(TABLES[number], evidence).of(scales)
            built.append(own)
            text = markdown.markdown(own)
            if "tex" in formats:
                _write(arguments.out / f"table{number:02d}.tex", files.tex(own))
            if "csv" in formats:
                _write(arguments.out / f"table{number:02d}.csv", files.cells_csv(own))
                _write(
                    arguments.out / f"table{number:02d}_comparisons.csv", files.comparisons_csv(own)
                )
        if "md" in formats:
            _write(arguments.out / f"table{number:02d}.md", text)
        if arguments.table:
            print(text)
        elif number in TABLES:
            count = f"{own.filled:>3} of {own.total:<3} cells"
            lines.append(f"table {number:>2}: {count}, {own.table.title}")
    if not arguments.table:
        decided = claims.decide(built)
        print(table(claims.HEADER, claims.rows(decided)))
        print("\n" + "\n".join(wrap(claims.note(), WIDTH)) + "\n")
        print("\n".join(lines))
        if not arguments.scale:
            _write(arguments.out / "claims.md", pages.claims_section(decided))
            _write(arguments.out / "claims.csv", claims.csv_text(decided))
            _write(arguments.out / "ledger.md", ledger.markdown(evidence, built))
    for name, why in sorted(evidence.refused.items()):
        print(f"refused: {name} {why}", file=sys.stderr)
    for stage in ledger.unfinished(evidence):
        print(f"without a result: {stage.label} ({stage.why})", file=sys.stderr)
    if not arguments.no_figures and not arguments.table:
        forest_figure(decided, arguments.out / "figures")
        drawn, again = run_figures.draw(evidence, arguments.out / "figures")
        print(f"{len(drawn)} figures, those of {again} runs drawn again")
    print(f"written to {arguments.out}")


def trace(arguments: argparse.Namespace) -> None:
    """Prints what is behind a cell."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports.tables import trace as tracing
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES

    evidence = Evidence(_stores(arguments.store))
    number = arguments.cell.partition(".")[0]
    chosen = [TABLES[n] for n in _chosen([number]) if n in TABLES]
    built = [build(table, evidence, compare=False) for table in chosen]
    print("\n\n".join(tracing.trace(*own) for own in tracing.find(built, arguments.cell)))


def report(arguments: argparse.Namespace) -> None:
    """Writes the report, and logs its overview."""
    from experiments.analysis.claims import read_claims
    from experiments.analysis.evidence import Evidence
    from experiments.config import TrackerConfig
    from experiments.reports.page import TITLE, Page
    from experiments.reports.tables import run_figures
    from experiments.reports.tables.build import build_all
    from experiments.stage import digest
    from experiments.tracking import RunSpec, start_run

    evidence = Evidence(_stores(arguments.store))
    built = build_all(evidence)
    page = Page(built, evidence, run_figures.draw(evidence, arguments.out / "figures")[0])
    text = page.html()
    _write(arguments.out / "report.html", text)
    print(f"written to {arguments.out / 'report.html'}, {len(text.encode()) / 1e6:.1f} MB")
    runs = sorted(str(run.folder) for run in evidence.distinct)
    settings = {"runs": runs, **read_claims()[1]}
    spec = RunSpec(f"report-{digest(text)}", TITLE, "report", "report", settings)
    run = start_run(TrackerConfig(arguments.tracker), spec, arguments.out / "wandb")
    page.log(run)
    run.finish()


def observations(arguments: argparse.Namespace) -> None:
    """Writes all observations as one long table."""
    from experiments.analysis import long_table
    from experiments.analysis.evidence import Evidence

    path = arguments.out / "observations.parquet"
    number = long_table.write(Evidence(_stores(arguments.store)), path)
    print(f"{number:,} rows written to {path}")


def docs(folder: Path, results: Path) -> None:
    """Writes the pages of the documentation that are made from records and experiments' files, and
    the pages of runs that compare arms."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports import claims, pages
    from experiments.reports.forest import forest_figure
    from experiments.reports.report import PAGES, arms_report
    from experiments.reports.tables.build import build_all

    for run in Evidence(_stores([results])).runs:
        if run.plan not in PAGES:
            arms_report(results, run.folder, draw=False)
            print(f"written to {run.folder}")
    evidence = Evidence([results])
    built = build_all(evidence)
    for name, text in (
        ("results.md", pages.results_page(built, evidence)),
        ("experiments.md", pages.experiments_page()),
    ):
        _write(folder / name, text)
        print(f"written to {folder / name}")
    forest_figure(claims.decide(built), folder / "figures")


if __name__ == "__main__":
    main()
