"""The page's section on an ablation study: facts, tables, and links to its files and figures."""

from __future__ import annotations

from html import escape

from suite.report import ablation_tables, markup
from suite.report.ablations import Ablation
from suite.report.formats import Block


def section(found: Ablation) -> str:
    """A study as HTML; its figures are links to files, for the page fetches nothing."""
    blocks = ablation_tables.numbers(found)
    said = ablation_tables.facts(found)
    parts = [markup.notes(said.notes), *(_titled(block) for block in blocks)]
    tables = markup.files("tables", found.name, ("md", "csv", "tex"))
    plots = "; ".join(
        f"{kind}: {markup.files('plots', f'{found.name}.{kind}', ('svg', 'png'))}"
        for kind in found.figures
    )
    parts.append(f'<p class="soft">These tables as a file: {tables}</p>')
    parts += [f'<p class="soft">Figures: {plots}</p>'] if plots else []
    title = ablation_tables.title(found)
    return markup.section(markup.data("ablation"), title, "\n".join(parts))


def _titled(block: Block) -> str:
    body = []
    for row in block.body:
        cells = [f'<th scope="row">{escape(row[0].text)}</th>']
        for cell in row[1:]:
            mark = ' class="best"' if cell.bold else ""
            cells.append(f"<td{mark}>{escape(cell.text)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    kind = "named" if block.head[1:2] == ("choice",) else ""
    table = markup.table(block.title, block.head, body, kind)
    return f"<h4>{escape(block.title)}</h4>\n{table}{markup.notes(block.notes)}"
