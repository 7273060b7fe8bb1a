"""Tables as files for other programs: one CSV row a cell, and LaTeX with booktabs."""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Any

from experiments.reports.tables.build import FilledTable
from experiments.reports.tables.cells import FilledBlock
from experiments.reports.tables.layout import EMBEDDED
from experiments.reports.tables.markdown import cells_legend, number_of, printed_cell, printed_text

CELL = (
    "id", "table", "block", "scale", "row", "column", "metric", "value", "se_items", "sd_seeds",
    "seeds", "items", "clusters", "published", "difference", "best", "results",
)  # fmt: skip
ESTIMATE = (
    "value", "low", "high", "low90", "high90", "p", "se_items", "sd_seeds", "n_seeds", "n_items",
    "n_clusters", "scale", "method",
)  # fmt: skip
"""Fields of an estimate, in the order of the columns."""

COMPARISON = (
    "table", "block", "column", "first", "second", *ESTIMATE, "p_corrected",
)  # fmt: skip


def cells_csv(built: FilledTable) -> str:
    """A row a cell, empty ones too."""
    return _csv(CELL, _cells(built))


def comparisons_csv(built: FilledTable) -> str:
    """A row a comparison with the block's reference."""
    rows = (
        [built.table.number, built.blocks[c.block].block.name, c.column, c.first.label,
         c.second.label, *(getattr(c.estimate, name) for name in ESTIMATE), c.p_corrected]
        for c in built.comparisons.planned
    )  # fmt: skip
    return _csv(COMPARISON, rows)


def _cells(built: FilledTable) -> Iterator[list[Any]]:
    for number, block in built.numbered:
        best = built.comparisons.best[number]
        for row in block.rows:
            for column in block.columns:
                cell = row.cells.get(column.label)
                place = [built.table.number, block.block.name, block.block.scale, row.label,
                         column.label, column.metric.name]  # fmt: skip
                if cell is None:
                    printed = printed_text(block, row, column)
                    yield ["", *place, *[""] * 6, printed, "", "", ""]
                    continue
                yield [
                    cell.id, *place, cell.value, cell.estimate.se_items, cell.estimate.sd_seeds,
                    " ".join(str(seed) for seed in cell.seeds if seed is not None),
                    cell.estimate.n_items, cell.estimate.n_clusters, cell.published,
                    cell.difference,
                    best.get(column.label) == row.label,
                    " ".join(result.label for result in cell.results),
                ]  # fmt: skip


def _csv(header: tuple[str, ...], rows: Iterator[list[Any]]) -> str:
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "—": "---", "–": "--", ">": "$>$", "<": "$<$",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text as LaTeX shows it; bold of Markdown becomes bold."""
    bold = text.startswith("**")
    parts = text.split("**")
    inner = ["".join(ESCAPES.get(letter, letter) for letter in part) for part in parts]
    if bold:
        return rf"\textbf{{{inner[1]}}}" + "".join(inner[2:])
    return "".join(inner)


def tex(built: FilledTable) -> str:
    """A ``table`` a block; needs the packages booktabs and graphicx."""
    return "\n".join(_tex(built, number, block) for number, block in built.numbered)


def _tex(built: FilledTable, number: int, block: FilledBlock) -> str:
    best = built.comparisons.best[number]
    scale = " (embedded scale)" if block.block.scale == EMBEDDED else ""
    lines = [
        r"\begin{table}", r"\centering", r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(block.columns)}}}", r"\toprule",
        " & ".join(["", *(escaped(column.label) for column in block.columns)]) + r" \\",
        r"\midrule",
    ]  # fmt: skip
    for row in block.rows:
        cells = [
            escaped(number_of(column, row.cells.get(column.label), best, row))
            for column in block.columns
        ]
        lines.append(" & ".join([escaped(row.label), *cells]) + r" \\")
        printed = [
            printed_cell(column, row.cells.get(column.label), block, row)
            for column in block.columns
        ]
        if any(printed):
            shown = [rf"\textit{{{escaped(text)}}}" if text else "" for text in printed]
            lines.append(" & ".join([r"\quad\textit{printed}", *shown]) + r" \\")
    title = f"{built.table.title}. {block.block.title}{scale}. {cells_legend(block)}".strip()
    lines += [
        r"\bottomrule", r"\end{tabular}}", rf"\caption{{{escaped(title)}}}",
        rf"\label{{tab:{built.table.number}-{block.block.name}}}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)
