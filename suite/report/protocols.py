"""One task, every protocol: the score and place of each encoder, and whether the order is the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from suite.report import formats
from suite.report.formats import DASH, Block, Cell, percent
from suite.report.lines import Group, Line, Table, file_words
from suite.report.significance import ranks
from suite.report.summaries import one_encoder

NUMBER = re.compile(r"(\d+)")
FEWEST = 3  # protocols, and encoders under all of them, from which an order says something


@dataclass(frozen=True)
class Protocols:
    """Encoders down, protocols across, of one task and setting.

    ``scores`` is ``(lines, protocols)``, NaN where an encoder has none; ``places`` are ranks among the
    encoders that have all, NaN for the others; ``agreement`` is Kendall's tau-b of every pair of
    protocols over those encoders.
    """

    name: str  # of its files, without ending
    title: str
    task: str
    group: Group  # of any one protocol
    setting_words: str  # what tables of several tasks have in common, as words of a file name
    probes: tuple[str, ...]
    lines: tuple[Line, ...]  # one of each encoder's, for its label and colour
    scores: np.ndarray
    best: np.ndarray  # bool (lines, protocols): among the best of that protocol's table
    places: np.ndarray
    agreement: dict[tuple[str, str], float]

    @property
    def complete(self) -> np.ndarray:
        """Which encoders have a score under every protocol, bool ``(lines,)``."""
        return ~np.isnan(self.scores).any(axis=1)


def protocols(tables: Sequence[Table]) -> list[Protocols]:
    """What of the tables asks one task of the same encoders by three protocols or more.

    A protocol that fewer than three encoders have cannot order them, and is left out: fine-tuning,
    where but two of them can be trained.
    """
    related: dict[tuple[object, ...], list[Table]] = defaultdict(list)
    for table in tables:
        if len(table.lines) < FEWEST:
            continue
        setting = replace(table.group.setting, probe="")
        related[(table.group.task_label, table.group.question[3:], setting)].append(table)
    found = [
        _protocols(members) for _, members in sorted(related.items(), key=lambda item: str(item[0]))
    ]
    return [each for each in found if len(each.probes) >= FEWEST and each.complete.sum() >= FEWEST]


def _protocols(tables: Sequence[Table]) -> Protocols:
    by_probe = {table.group.probe_label: table for table in tables}
    probes = tuple(sorted(by_probe, key=in_order))
    encoders = _encoders([by_probe[probe] for probe in probes])
    # The fullest label tells an encoder from its neighbours in any table.
    lines = [
        max((each for each in held if each), key=lambda line: len(line.label)) for held in encoders
    ]
    scores = np.array([[line.score if line else np.nan for line in held] for held in encoders]).reshape(
        len(lines), len(probes)
    )
    best = np.array(
        [[line is not None and line.among_best for line in held] for held in encoders], dtype=bool
    ).reshape(scores.shape)
    complete = ~np.isnan(scores).any(axis=1)
    places = np.full(scores.shape, np.nan)
    if complete.any():
        places[complete] = ranks(scores[complete].T).T
    mean = np.where(complete, places.mean(axis=1), np.inf)
    order = sorted(range(len(lines)), key=lambda i: (mean[i], lines[i].label))
    pairs = {
        (probes[i], probes[j]): float(stats.kendalltau(*scores[complete][:, [i, j]].T).statistic)
        for i, j in combinations(range(len(probes)), 2)
        if complete.sum() > 1
    }
    group = tables[0].group
    setting = replace(group.setting, probe="")
    return Protocols(
        name=file_words("protocols", group.task_label, *setting.words),
        title=f"{group.task_label} under every protocol, scale {setting.scale}, {setting.recipe} (%)",
        task=group.task_label,
        group=group,
        setting_words=file_words(*setting.words),
        probes=probes,
        lines=tuple(lines[i] for i in order),
        scores=scores[order],
        best=best[order],
        places=places[order],
        agreement=pairs,
    )


def in_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``fewshot-4@1`` before ``fewshot-16@1``."""
    return [(int(part or 0), "") if i % 2 else (0, part) for i, part in enumerate(NUMBER.split(name))]


def _encoders(tables: Sequence[Table]) -> list[list[Line | None]]:
    """Each encoder's line in every table, None where it has none; those of a single table are left out.

    An encoder is not known by its label: a table with two configurations of a source names both.
    """
    encoders: list[list[Line | None]] = []
    for place, table in enumerate(tables):
        for line in table.lines:
            for held in encoders:
                if held[place] is None and any(each and one_encoder(each, line) for each in held):
                    held[place] = line
                    break
            else:
                encoders.append([line if other == place else None for other in range(len(tables))])
    return [held for held in encoders if sum(line is not None for line in held) > 1]


def protocols_block(found: Protocols) -> Block:
    """Scores and places as cells, the agreement of the protocols below."""
    body = []
    for i, line in enumerate(found.lines):
        cells = [Cell(f"{line.label} (control)" if line.control else line.label)]
        for j in range(len(found.probes)):
            place = found.places[i, j]
            number = "" if np.isnan(place) else f" ({place:g})"
            cells.append(Cell(percent(float(found.scores[i, j])) + number, bold=bool(found.best[i, j])))
        mean = found.places[i].mean()
        cells.append(Cell(DASH if np.isnan(mean) else f"{mean:.2f}"))
        body.append(tuple(cells))
    notes = [
        "In brackets the place among the encoders that have every protocol. Bold: not significantly "
        f"worse than the best of its protocol. Protocols that fewer than {FEWEST} encoders have are "
        "left out here; they have tables of their own.",
        *agreement_notes(found),
    ]
    return Block(found.title, ("encoder", *found.probes, "mean place"), tuple(body), tuple(notes))


def agreement_notes(found: Protocols) -> list[str]:
    """How alike the protocols order the encoders: the mean, and the two pairs at the ends."""
    pairs = {pair: tau for pair, tau in found.agreement.items() if not np.isnan(tau)}
    if not pairs:
        return []
    least, most = min(pairs, key=lambda pair: pairs[pair]), max(pairs, key=lambda pair: pairs[pair])
    mean = float(np.mean(list(pairs.values())))
    ends = (
        f"; most alike {' and '.join(most)} {pairs[most]:.2f}, least {' and '.join(least)} "
        f"{pairs[least]:.2f}"
    )
    return [
        f"Kendall's tau-b over {int(found.complete.sum())} encoders (1: the same order, -1: reversed): "
        f"mean of all pairs {mean:.2f}{ends if pairs[least] < pairs[most] else ''}."
    ]


def protocols_values(found: Protocols) -> str:
    """The scores as CSV, fractions in full precision."""
    body = [
        [line.label, line.control, *(round(float(score), 9) for score in found.scores[i])]
        for i, line in enumerate(found.lines)
    ]
    return formats.comma_separated(("encoder", "control", *found.probes), body)
