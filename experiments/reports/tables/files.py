"""Format tables as CSV with one row per cell or comparison, and as LaTeX with booktabs."""

from itertools import product

from experiments.reports.format import csv_table, legend
from experiments.reports.tables.build import FilledTable, cut_notes
from experiments.reports.tables.cells import FilledBlock, cut_items, printed_at
from experiments.reports.tables.layout import EMBEDDED
from experiments.reports.tables.markdown import text_rows

CELL = (
    "id", "table", "block", "scale", "row", "column", "metric", "value", "se_items", "sd_seeds",
    "seeds", "items", "clusters", "cut_items", "published", "difference", "best", "results",
)  # fmt: skip
ESTIMATE = (
    "value", "low", "high", "low90", "high90", "p", "se_items", "sd_seeds", "n_seeds", "n_items",
    "n_clusters", "scale", "method",
)  # fmt: skip
"""Fields of an estimate, in the order of the columns."""

COMPARISON = ("table", "block", "column", "first", "second", *ESTIMATE, "p_corrected")


def cells_csv(table: FilledTable) -> str:
    """Format a table as CSV with one row per cell, also per empty one."""
    rows = []
    for number, block in table.numbered:
        best = table.comparisons.best[number]
        for row, column in product(block.rows, block.columns):
            cell = row.cells.get(column.label)
            key = [table.table.number, block.block.name, block.block.scale, row.label,
                   column.label, column.metric.name]  # fmt: skip
            if cell is None:
                rows.append(
                    ["", *key, *[""] * 7, printed_at(block.block, row.row, column), "", "", ""]
                )
                continue
            rows.append([
                cell.id, *key, cell.value, cell.estimate.se_items, cell.estimate.sd_seeds,
                " ".join(str(seed) for seed in cell.seeds if seed is not None),
                cell.estimate.n_items, cell.estimate.n_clusters,
                max((n for n in cut_items(column, cell).values() if n is not None), default=""),
                cell.published,
                cell.difference, best.get(column.label) == row.label,
                " ".join(result.label for result in cell.results),
            ])  # fmt: skip
    return csv_table(CELL, rows)


def comparisons_csv(table: FilledTable) -> str:
    """Format the comparisons with the references of the blocks as CSV."""
    rows = (
        [table.table.number, table.blocks[c.block].block.name, c.column, c.first.label,
         c.second.label, *(getattr(c.estimate, name) for name in ESTIMATE), c.p_corrected]
        for c in table.comparisons.planned
    )  # fmt: skip
    return csv_table(COMPARISON, rows)


ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "—": "---", "–": "--", ">": "$>$", "<": "$<$",
})  # fmt: skip


def escaped(text: str) -> str:
    """Escape text for LaTeX; text that begins in Markdown bold begins in bold."""
    text = text.translate(ESCAPES)
    if not text.startswith("**"):
        return text
    _, bold, rest = text.split("**", 2)
    return rf"\textbf{{{bold}}}{rest}"


def tex(table: FilledTable) -> str:
    """Format each block as a LaTeX ``table``, which needs the packages booktabs and graphicx."""
    return "\n".join(_tex(table, number, block) for number, block in table.numbered)


def _tex(table: FilledTable, number: int, block: FilledBlock) -> str:
    scale = " (embedded scale)" if block.block.scale == EMBEDDED else ""
    lines = [
        r"\begin{table}", r"\centering", r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * len(block.columns)}}}", r"\toprule",
        " & ".join(["", *(escaped(column.label) for column in block.columns)]) + r" \\",
        r"\midrule",
    ]  # fmt: skip
    for row, numbers, printed in text_rows(block, table.comparisons.best[number]):
        lines.append(" & ".join(map(escaped, [row.label, *numbers])) + r" \\")
        if any(printed):
            italic = [rf"\textit{{{escaped(text)}}}" if text else "" for text in printed]
            lines.append(" & ".join([r"\quad\textit{printed}", *italic]) + r" \\")
    levels = (cell.estimate for row in block.rows for cell in row.cells.values())
    title = f"{table.table.title}. {block.block.title}{scale}. {legend(levels, ())}"
    title = f"{title.strip()} {cut_notes([block])}".strip()
    lines += [
        r"\bottomrule", r"\end{tabular}}", rf"\caption{{{escaped(title)}}}",
        rf"\label{{tab:{table.table.number}-{block.block.name}}}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)
