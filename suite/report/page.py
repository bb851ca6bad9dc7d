"""The leaderboard: one self-contained HTML page whose every number leads to the runs behind it."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path

from suite.report import ablation_section, markup, tables
from suite.report.ablations import Ablation
from suite.report.bars import bar, span_of
from suite.report.formats import percent
from suite.report.lines import Line, Table
from suite.report.overviews import Overview, overview_block
from suite.report.protocols import Protocols, protocols_block
from suite.rows import Row, task_label

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"  # nothing is fetched
)
EMPTY = (
    "<p>No results yet. Measure a first grid on the embedded tasks (no download, no GPU), then "
    "render it:</p><pre>sourcebench compare comparison=quick\nsourcebench report</pre>"
)
READING = (
    "A score is the mean over pre-training seeds of the mean over folds. Two intervals stand apart: "
    "over seeds (would another pre-training say the same?) and over clips (would other recordings?). "
    "Tinted: the best, and everything not significantly worse. Controls are in italics. Runs that "
    "share a table are of equal scale and budget, and of one recipe (masking and objective) or of one "
    "source. Every score leads to its folds, and from there to its run."
)


def render_page(
    summary: Sequence[Table],
    overviews: Sequence[Overview],
    protocols: Sequence[Protocols],
    ablations: Sequence[Ablation],
    rows: Sequence[Row],
) -> str:
    """The page as text, a function of its arguments alone; it fetches nothing."""
    here = Path(__file__).parent
    style = (here / "page.css").read_text(encoding="utf-8")
    script = (here / "page.js").read_text(encoding="utf-8")
    body = _body(summary, overviews, protocols, ablations, rows) if rows or ablations else EMPTY
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>sourcebench leaderboard</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        "<header><h1>sourcebench: which pre-training source makes the best audio encoder?</h1>"
        "</header>\n"
        f"<main>\n{body}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _body(
    summary: Sequence[Table],
    overviews: Sequence[Overview],
    protocols: Sequence[Protocols],
    ablations: Sequence[Ablation],
    rows: Sequence[Row],
) -> str:
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=Row.key):
        runs[row.run_id].append(row)
    sources = {row.source for row in rows if not row.control}
    parts = []
    if rows:
        count = f"<p>{len(sources)} sources, {len(runs)} runs, {len(rows)} measured numbers.</p>"
        parts += [count, f'<p class="soft">{READING}</p>', _filters(summary)]
        parts.append('<p id="none" role="status" hidden>No table fits these filters.</p>')
    places = {
        (table.name, line.label): f"t{position}-{i}"
        for position, table in enumerate(summary)
        for i, line in enumerate(table.lines)
    }
    parts += ["<h2>All tasks</h2>"] if overviews else []
    parts += [_overview(overview, places) for overview in overviews]
    parts += ["<h2>By protocol</h2>"] if protocols else []
    parts += [_by_protocol(found) for found in protocols]
    parts += ["<h2>Ablations</h2>"] if ablations else []
    parts += [ablation_section.section(study) for study in ablations]
    parts += ["<h2>Task by task</h2>"] if summary else []
    parts += [_section(position, table) for position, table in enumerate(summary)]
    parts += ["<h2>Runs</h2>"] if runs else []
    parts += [_run(run_id, runs[run_id]) for run_id in sorted(runs)]
    return "\n".join(parts)


def _filters(summary: Sequence[Table]) -> str:
    groups = [table.group for table in summary]
    choices = {
        "task": sorted({group.task_label for group in groups}),
        "probe": sorted({group.probe_label for group in groups}),
        "scale": sorted({group.scale for group in groups}),
        "recipe": sorted({group.setting.recipe for group in groups}),
    }
    selects = []
    for name, values in choices.items():
        options = "".join(f'<option value="{escape(v)}">{escape(v)}</option>' for v in values)
        everything = f'<option value="">all ({len(values)})</option>'
        selects.append(f'<label>{name} <select name="{name}">{everything}{options}</select></label>')
    return f'<form class="filters" aria-label="Filter the tables">{"".join(selects)}</form>'


def _by_protocol(found: Protocols) -> str:
    block = protocols_block(found)
    group = found.group
    data = markup.data(
        "protocols", task=group.task_label, scale=group.scale, recipe=group.setting.recipe
    )
    body = []
    for i, (line, cells) in enumerate(zip(found.lines, block.body, strict=True)):
        numbers = [*map(float, found.scores[i]), float(found.places[i].mean())]
        row = [markup.source(line.family, line.label, control=line.control)]
        for cell, number in zip(cells[1:], numbers, strict=True):
            row.append(
                markup.cell(escape(cell.text), markup.number(number), "best" if cell.bold else "")
            )
        body.append(f"<tr>{''.join(row)}</tr>")
    table = markup.table(block.title, block.head, body)
    return markup.section(data, block.title, table + markup.notes(block.notes))


def _overview(overview: Overview, places: dict[tuple[str, str], str]) -> str:
    setting = overview.setting
    data = markup.data("overview", probe=setting.probe, scale=setting.scale, recipe=setting.recipe)
    block = overview_block(overview)
    body = []
    for i, (label, cells) in enumerate(zip(overview.labels, block.body, strict=True)):
        place = overview.standing[i]
        numbers: list[float | None] = [markup.number(float(v)) for v in overview.scores[i]]
        numbers += [None] * 3 if place is None else [place.mean, place.low, place.best]
        numbers.append(overview.borda[i])
        row = [markup.source(overview.families[i], label, control=overview.controls[i])]
        for column, (cell, number) in enumerate(zip(cells[1:], numbers, strict=True)):
            text = escape(cell.text)
            if column < len(overview.tables) and number is not None:
                text = f'<a href="#{places[(overview.tables[column], label)]}">{text}</a>'
            row.append(markup.cell(text, number, "best" if cell.bold else ""))
        body.append(f"<tr>{''.join(row)}</tr>")
    table = markup.table(block.title, block.head, body)
    return markup.section(data, block.title, table + markup.notes(block.notes))


def _section(position: int, table: Table) -> str:
    g = table.group
    data = markup.data(
        "table", task=g.task_label, probe=g.probe_label, scale=g.scale, recipe=g.setting.recipe
    )
    block, span = tables.measured(table), span_of(table)
    head = (*block.head[:2], "95 % over seeds and clips", *block.head[2:])
    body = []
    for i, (line, cells) in enumerate(zip(table.lines, block.body, strict=True)):
        texts = [escape(cell.text) for cell in cells[2:]]
        score = f'<a href="#t{position}-{i}">{percent(line.score)}</a>'
        row = [markup.source(line.family, line.label, control=line.control)]
        row += [markup.cell(score, line.score, "score"), f"<td>{bar(line, span, table.chance)}</td>"]
        row += [markup.cell(text, value) for text, value in zip(texts, _sort_values(line), strict=True)]
        mark = ' class="best"' if line.among_best else ""
        body.append(f"<tr{mark}>{''.join(row)}</tr>")
    files = markup.files("tables", table.name, ("md", "csv", "tex"))
    reported = tables.reported(table)
    remarks = [note for note in block.notes if note != tables.READING]  # said once above
    parts = [f"<section {data}>", f"<h3>{escape(block.title)}</h3>"]
    parts += [markup.table(block.title, head, body), markup.notes(remarks), _folds(position, table)]
    if reported is not None:
        rows = [
            "".join(["<tr>", *(f"<td>{escape(cell.text)}</td>" for cell in row), "</tr>"])
            for row in reported.body
        ]
        inner = markup.table(reported.title, reported.head, rows, "words", sortable=False)
        parts.append(f"<details><summary>{escape(reported.title)}</summary>{inner}</details>")
    parts.append(f'<p class="soft">This table as a file: {files}</p></section>')
    return "\n".join(parts)


def _folds(position: int, table: Table) -> str:
    # One line per run: the numbers a table's line is the mean of, each a step from its run.
    folds = table.lines[0].folds if table.lines else ()
    body = []
    for i, line in enumerate(table.lines):
        for s, seed in enumerate(line.seeds):
            run_id = line.rows[s * len(line.folds)].run_id
            anchor = f' id="t{position}-{i}"' if s == 0 else ""
            link = f'<a href="#run-{markup.anchor(run_id)}">{escape(run_id)}</a>'
            scores = "".join(markup.cell(percent(float(v)), float(v)) for v in line.scores[s])
            mean = float(line.scores[s].mean())
            body.append(
                f'<tr{anchor}><th scope="row">{escape(line.label)}</th><td>{link}</td>'
                f"<td>{seed}</td>{markup.cell(percent(mean), mean)}{scores}</tr>"
            )
    head = (tables.head(table)[0], "run", "seed", "mean", *(f"fold {fold}" for fold in folds))
    inner = markup.table("Scores of every run and fold", head, body, "named")
    return f"<details><summary>Scores of every run and fold</summary>{inner}</details>"


def _run(run_id: str, rows: Sequence[Row]) -> str:
    last = max(rows, key=lambda row: row.samples_seen)
    dirty = ' <strong class="dirty">with uncommitted changes</strong>' if last.dirty else ""
    facts = {
        "source": escape(last.source) + (" (control)" if last.control else ""),
        "recipe": escape(f"scale {last.scale}, masking {last.masking}, objective {last.objective}"),
        "seed": str(last.seed),
        "command": f"<code>{escape(last.command)}</code>",
        "commit": f"<code>{escape(last.commit)}</code>{dirty}",
        "version": escape(f"sourcebench {last.version}, torch {last.torch}, on {last.device}"),
        "measured": escape(last.created_at),
        "cost": escape(
            f"{last.samples_seen:,} samples seen in {last.steps:,} steps, "
            f"{last.parameters:,} parameters, {last.flops:.3g} FLOPs, {last.seconds:,.0f} s, "
            f"{last.peak_memory / 2**20:,.0f} MiB"
        ),
    }
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        facts["notes"] = "; ".join(filter(None, (facts.get("notes", ""), escape(note))))
    terms = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items() if text)
    config = escape(json.dumps(last.config, indent=1, sort_keys=True))
    return (
        f'<details class="run" id="run-{markup.anchor(run_id)}"><summary>{escape(run_id)}</summary>'
        f"<dl>{terms}</dl><details><summary>configuration</summary><pre>{config}</pre></details>"
        f"{_run_scores(rows)}</details>"
    )


def _run_scores(rows: Sequence[Row]) -> str:
    asked: dict[tuple[str, str, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        task = task_label(row.task, partial=row.partial)
        asked[(task, row.probe_label, row.metric, row.samples_seen)].append(row)
    body = []
    for (task, probe, metric, samples), found in sorted(asked.items()):
        folds = "; ".join(
            f"{row.fold}: {percent(row.score)} (n {row.n_test:,}{_selection(row)})" for row in found
        )
        mean = math.fsum(row.score for row in found) / len(found)
        cells = "".join(f"<td>{escape(text)}</td>" for text in (task, probe, metric, f"{samples:,}"))
        body.append(f"<tr>{cells}<td>{percent(mean)}</td><td>{escape(folds)}</td></tr>")
    head = ("task", "probe", "metric", "samples seen", "mean (%)", "folds: score (%)")
    return markup.table("Scores of this run", head, body, "words", sortable=False)


def _selection(row: Row) -> str:
    chosen = ", ".join(f"{key} {value}" for key, value in sorted(row.selection.items()))
    return f", chosen on validation: {chosen}" if chosen else ""


def _sort_values(line: Line) -> list[float | None]:
    # In the order of tables.HEAD after source and score; intervals sort by their lower end.
    low = [None if found is None else found.low for found in (line.over_seeds, line.over_clips)]
    tests = [line.difference, line.p_seeds, line.p_clips]
    cost = [line.mean(name) for name in ("samples_seen", "parameters", "seconds")]
    return [*low, float(len(line.seeds)), float(line.clips), *tests, *cost]
