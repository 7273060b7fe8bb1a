"""The paper's tables from the records of runs: ``python -m experiments.tables``.

Fill the tables, compare, write them down; say where a number comes from; audit the printed ones.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import CONF
from toedit.errors import Parser, UserError, one_line_errors
from toedit.layout import fill, indented, line_width, plain, terminal_width
from toedit.user_paths import path_option

if TYPE_CHECKING:
    from experiments.analysis.evidence import Evidence

FORMATS = ("md", "tex", "csv")
DEFAULT_STORES = ("store", "results")
COMMANDS = {"trace", "audit", "report", "observations"}
"""Commands with their own help."""


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(
        prog="python -m experiments.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_folders(top)
    top.set_defaults(store=None, out=Path("tables"), run=tables)
    top.add_argument("--table", action="append", metavar="N", help="only these, 3 or 3,5")
    top.add_argument("--format", default="md,tex,csv", metavar="md,tex,csv")
    top.add_argument("--scale", choices=("embedded", "paper"), help="only blocks of this scale")
    top.add_argument("--no-figures", action="store_true", help="tables alone")
    commands = top.add_subparsers(metavar="trace|audit|report|observations|docs")
    parsers = {}
    for function, text in (
        (trace, "where a number comes from"),
        (audit, "the printed tables, recomputed from their own numbers"),
        (report, "one HTML file with everything, report.html"),
        (observations, "a row a model, item and metric, as observations.parquet"),
        (
            docs,
            "docs/results.md, experiments.md, fields.md, names.md, parts of README.md and the "
            "pages in results/",
        ),
    ):
        parsers[function] = commands.add_parser(function.__name__, help=text)
        parsers[function].set_defaults(run=function)
    parsers[trace].add_argument(
        "cell", help="its id, as 3.biomedicine-embedded.ToEdit.Avg, or a beginning"
    )
    parsers[report].add_argument("--tracker", default="wandb", choices=("wandb", "none"))
    for function in (trace, report, observations):
        _add_folders(parsers[function])
    return top


def _add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the options for stores and output; without a default, a command keeps the value of the
    same option before it."""
    parser.add_argument(
        "--store", action="append", type=path_option, metavar="DIR", default=argparse.SUPPRESS,
        help="a store of results; several are merged (default: store and results, if they are "
        "there)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=path_option, metavar="DIR", default=argparse.SUPPRESS,
        help="where files go (default: tables)",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    with one_line_errors():
        words = sys.argv[1:] if argv is None else argv
        if {"-h", "--help"} & set(words) and not COMMANDS & set(words):
            parser().print_help()
            rest = [word for word in words if word not in ("-h", "--help")]
            print("\n" + overview(_stores(parser().parse_args(rest).store)))
            return
        arguments = parser().parse_args(words)
        arguments.run(arguments)


def _stores(stores: list[Path] | None) -> list[Path]:
    """Return the stores to read, by default those of :data:`DEFAULT_STORES` that exist.

    Raises:
        UserError: a store does not exist.
    """
    if stores is None:
        return [Path(name) for name in DEFAULT_STORES if Path(name).is_dir()]
    for store in stores:
        if not (store / "reports").is_dir():
            raise UserError(
                f"no results at {str(store)!r}: a store has a folder reports; run an experiment, "
                "or name another with --store DIR"
            )
    return stores


def _table_numbers(texts: list[str] | None) -> list[int]:
    """Parse the numbers of tables; all tables if there are none.

    Raises:
        UserError: there is no such table.
    """
    from experiments.reports.tables.catalogue import TABLES
    from experiments.reports.tables.text_tables import TEXT_TABLES

    known = sorted([*TABLES, *TEXT_TABLES])
    names = [name for text in texts or [] for name in text.split(",")]
    for name in names:
        if not name.isdecimal() or int(name) not in known:
            allowed = ", ".join(map(str, known))
            raise UserError(f"--table {name}: there is no such table; allowed: {allowed}")
    return [int(name) for name in names] or known


def overview(stores: list[Path]) -> str:
    """List the tables, the experiments that fill them, and the number of filled cells."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES

    evidence = Evidence(stores)
    lines = ["tables, the experiments that fill them, and cells filled:"]
    for number, table in TABLES.items():
        lines.append(f"  {number:>2}  {table.title}")
        for block in build(table, evidence, compare=False).blocks:
            names = dict.fromkeys(r.row.experiment or block.block.experiment for r in block.rows)
            lines.append(f"        {block.filled:>3} of {block.total:<3} {', '.join(names)}")
    return "\n".join([*lines, "  10, 12 and 18 hold words and text"])


def _write(path: Path, text: str) -> None:
    from toedit.corpora.files import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def tables(arguments: argparse.Namespace) -> None:
    """Write tables, claims, figures and the ledger; print the requested tables, else a summary."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports import claims, pages
    from experiments.reports.forest import forest_figure
    from experiments.reports.format import table as markdown_table
    from experiments.reports.tables import files, ledger, markdown, run_figures
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES
    from experiments.reports.tables.text_tables import TEXT_TABLES

    formats = arguments.format.split(",")
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--format {name}: unknown; allowed: {', '.join(FORMATS)}")
    evidence, filled, lines = Evidence(_stores(arguments.store)), [], []
    for number in _table_numbers(arguments.table):
        stem = f"table{number:02d}"
        if number in TEXT_TABLES:
            text = TEXT_TABLES[number](evidence)
        else:
            table = build(TABLES[number], evidence)
            table.scales = (arguments.scale,) if arguments.scale else table.scales
            filled.append(table)
            if "tex" in formats:
                _write(arguments.out / f"{stem}.tex", files.tex(table))
            if "csv" in formats:
                _write(arguments.out / f"{stem}.csv", files.cells_csv(table))
                csv = files.comparisons_csv(table)
                _write(arguments.out / f"{stem}_comparisons.csv", csv)
            text = markdown.markdown(table)
            count = f"{table.filled:>3} of {table.total:<3} cells"
            lines.append(f"table {number:>2}: {count}, {table.table.title}")
        if "md" in formats:
            _write(arguments.out / f"{stem}.md", text)
        if arguments.table:
            print(plain(text, terminal_width()))
    if not arguments.table:
        decisions = claims.decide(filled)
        width = terminal_width()
        print(plain(markdown_table(claims.HEADER, claims.rows(decisions)), width))
        print(f"\n{fill(claims.note(), width)}\n")
        print("\n".join(fill(line, width, "", " " * 10) for line in lines))
        if not arguments.scale:
            _write(arguments.out / "claims.md", pages.claims_section(decisions))
            _write(arguments.out / "claims.csv", claims.csv_text(decisions))
            _write(arguments.out / "ledger.md", ledger.markdown(evidence, filled))
    _show_refused(evidence)
    for label, why in ledger.unfinished(evidence):
        print(f"without a result: {label} ({why})", file=sys.stderr)
    if not arguments.no_figures and not arguments.table:
        forest_figure(decisions, arguments.out / "figures")
        pictures, redrawn = run_figures.draw(evidence, arguments.out / "figures")
        print(f"{len(pictures)} figures, those of {redrawn} runs drawn again")
    print(f"written to {arguments.out}")


def trace(arguments: argparse.Namespace) -> None:
    """Print the records, settings and commands of the cells with an id."""
    from experiments.analysis.evidence import Evidence
    from experiments.reports.tables import trace as tracing
    from experiments.reports.tables.build import build
    from experiments.reports.tables.catalogue import TABLES

    evidence = Evidence(_stores(arguments.store))
    numbers = _table_numbers([arguments.cell.partition(".")[0]])
    filled = [build(TABLES[n], evidence, compare=False) for n in numbers if n in TABLES]
    name = arguments.cell
    text = "\n\n".join(tracing.trace(*cell, name) for cell in tracing.find(filled, name))
    print(indented(text, line_width(sys.stdout)))


def audit(arguments: argparse.Namespace) -> None:
    """Print the audit of the printed tables."""
    from experiments.reports.audit import audit, markdown

    print(plain(markdown(audit()), terminal_width()))


def report(arguments: argparse.Namespace) -> None:
    """Write the HTML report, and log its overview to the tracker."""
    from experiments.analysis.claims import read_claims
    from experiments.analysis.evidence import Evidence
    from experiments.config import TrackerConfig
    from experiments.reports.page import TITLE, Page
    from experiments.reports.tables.build import build_all
    from experiments.reports.tables.run_figures import draw
    from experiments.stage import digest
    from experiments.tracking import RunSpec, start_run

    evidence = Evidence(_stores(arguments.store))
    filled = build_all(evidence)
    page = Page(filled, evidence, draw(evidence, arguments.out / "figures")[0])
    text = page.html()
    _write(arguments.out / "report.html", text)
    print(f"written to {arguments.out / 'report.html'}, {len(text.encode()) / 1e6:.1f} MB")
    runs = sorted(str(run.folder) for run in evidence.distinct)
    settings = {"runs": runs, **read_claims()[1]}
    spec = RunSpec(f"report-{digest(text)}", TITLE, "report", "report", settings)
    run = start_run(TrackerConfig(arguments.tracker), spec, arguments.out / "wandb")
    page.log(run)
    run.finish()


def _show_refused(evidence: "Evidence") -> None:
    """Name what was left out, and why."""
    for name, why in sorted(evidence.refused.items()):
        print(f"refused: {name} {why}", file=sys.stderr)


def observations(arguments: argparse.Namespace) -> None:
    """Write all observations as one long table."""
    from experiments.analysis import long_table
    from experiments.analysis.evidence import Evidence

    path = arguments.out / "observations.parquet"
    evidence = Evidence(_stores(arguments.store))
    number = long_table.write(evidence, path)
    _show_refused(evidence)
    print(f"{number:,} rows written to {path}")


def docs(arguments: argparse.Namespace) -> None:
    """Write the generated pages and figures of docs/, parts of README.md, estimates of costs
    wherever they stand, and the pages of runs in results/ that compare arms."""
    from experiments.analysis.evidence import Evidence
    from experiments.config.compose import compose
    from experiments.costs import quoted
    from experiments.hub.page import names_page
    from experiments.reports import claims, pages, readme
    from experiments.reports.forest import forest_figure
    from experiments.reports.report import PAGES, arms_report
    from experiments.reports.tables import run_figures
    from experiments.reports.tables.build import build_all

    folder, results = Path("docs"), Path("results")
    for run in Evidence(_stores([results])).runs:
        if run.plan not in PAGES:
            arms_report(results, run.folder, draw=False)
            print(f"written to {run.folder}")
    for name in quoted.paper_names():
        _write(CONF / "exp" / f"{name}.yaml", quoted.head(name))
    evidence = Evidence([results])
    filled = build_all(evidence)
    for name, text in (
        ("results.md", pages.results_page(filled, evidence)),
        ("scaling.md", quoted.scaling_page((folder / "scaling.md").read_text())),
        ("experiments.md", pages.experiments_page()),
        ("fields.md", pages.fields_page()),
        ("names.md", names_page()),
    ):
        _write(folder / name, text)
        print(f"written to {folder / name}")
    decisions = claims.decide(filled)
    forest_figure(decisions, folder / "figures")
    run_figures.redraw(evidence, folder / "figures")
    config = compose(readme.DEMO)
    demo = readme.demo_run(evidence, config)
    _write(folder / "figures" / "overview.svg", readme.picture(demo.folder, config))
    _write(Path("README.md"), readme.readme_page(Path("README.md").read_text(), demo, decisions))
    _show_refused(evidence)


if __name__ == "__main__":
    main()
