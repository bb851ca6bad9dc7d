"""Tables of an ablation study: facts, confirmation, best trials, effects by question, importance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from suite.report import formats
from suite.report.ablations import Ablation
from suite.report.confirmations import Confirmed
from suite.report.contrasts import Contrast
from suite.report.effects import CONTROL, Effect, Effects
from suite.report.formats import DASH, Block, Cell, percent
from suite.report.study_scores import Question
from suite.studies import Study, StudyTrial

SHOWN = 10  # trials of a search
HEAD = (
    *("axis", "choice", "score", "Δ default", "Δ 95 % over seeds", "Δ 95 % over clips"),
    *("p (seeds)", "p (clips)", "seeds", "pairs", "clips"),
)
CONFIRMED_HEAD = (
    *("task", "probe", "test clips", "the winner is", "score", "Δ default"),
    *("Δ 95 % over seeds", "Δ 95 % over clips", "p (seeds)", "p (clips)", "seeds", "clips"),
)
CSV_HEAD = (
    *("kind", "task", "probe", "metric", "axis", "choice", "test_clips", "score", "difference"),
    *("seeds_low", "seeds_high", "clips_low", "clips_high", "p_seeds", "p_clips", "significant"),
    *("seeds", "pairs", "cells", "clips", "trial", "state", "cost", "share", "parameters", "run_ids"),
)


def title(found: Ablation) -> str:
    """The study in a line: its name and what it asks."""
    return f"Ablation {found.study.name}: {found.study.about}".rstrip(": ")


def facts(found: Ablation) -> Block:
    """What a reader must know first: what was asked, how far it is, what may be said of the best.

    A block of remarks alone.
    """
    study = found.study
    lines = {
        "question": study.about,
        "design": study.design if not study.sampler else f"{study.design} by {study.sampler}",
        "trials": found.trial_notes[0] if found.trial_notes else DASH,
        "default": formats.spelt(study.default),
        "score": f"{study.task}, {study.probe}" + f"; cost: {study.cost}" * (study.cost is not None),
        "verdict": found.verdict,
        "command": study.command,
    }
    if found.best is not None:
        lines["best"] = f"trial {found.best.trial}: {formats.spelt(found.best.params)}"
    order = ("question", "verdict", "best", "default", "score", "design", "trials", "command")
    said = tuple(f"{name}: {' '.join(lines[name].split())}" for name in order if lines.get(name))
    return Block(f"Ablation {study.name}", (), (), (*said, *found.trial_notes[1:]))


def numbers(found: Ablation) -> list[Block]:
    """Every block but the facts, in the order of reading."""
    blocks = [confirmation_block(found)] if found.study.confirmation is not None else []
    if found.study.design == "search":
        blocks.append(trials_block(found))
    blocks += [effects_block(found, each) for each in found.effects if each.effects or each.defaults]
    if found.study.importance:
        blocks.append(importance_block(found.study))
    return blocks


def effects_block(found: Ablation, asked: Effects) -> Block:
    """The effects on one question: each axis' default, and below it its other choices."""
    body = []
    for axis in found.choices:
        of_axis = [effect for effect in asked.effects if effect.axis == axis]
        if axis in asked.defaults and of_axis:
            head = (axis, _default_name(found.study, axis), percent(asked.defaults[axis]))
            body.append(tuple(map(Cell, (*head, *[DASH] * (len(HEAD) - len(head))))))
        body += [_effect_cells(effect) for effect in of_axis]
    return Block(f"{found.study.name}: {asked.question.label}", HEAD, tuple(body), asked.notes)


def _default_name(study: Study, name: str) -> str:
    if name == CONTROL:
        return "default cell"
    return f"{next(axis.default for axis in study.axes if axis.name == name)} (default)"


def _effect_cells(effect: Effect) -> tuple[Cell, ...]:
    contrast, bold = effect.contrast, effect.significant
    return (
        Cell(effect.axis),
        Cell(effect.choice, bold=bold),
        Cell(percent(contrast.score)),
        Cell(percent(contrast.difference, signed=True), bold=bold),
        *_intervals(contrast),
        *map(Cell, (formats.p_value(effect.p_seeds), formats.p_value(effect.p_clips))),
        *map(Cell, (str(len(contrast.seeds)), str(contrast.pairs), formats.count(contrast.clips))),
    )


def _intervals(contrast: Contrast) -> tuple[Cell, Cell]:
    return Cell(formats.change(contrast.over_seeds)), Cell(formats.change(contrast.over_clips))


def confirmation_block(found: Ablation) -> Block:
    """The winner against the default on fresh seeds."""
    study = found.study
    confirmation = study.confirmation
    assert confirmation is not None
    notes = (
        found.verdict,
        "Δ: winner minus default, paired by seed and fold, both trained anew with seeds "
        f"{', '.join(map(str, confirmation.seeds))} that no trial had. Bold: both p below 5 %, over "
        "two seeds or more. The line of the study's own score was decided beforehand; the p of all "
        "others are after Holm's correction among themselves.",
        *found.confirmation_notes,
    )
    body = tuple(_confirmed_cells(line) for line in found.confirmed)
    winner = formats.spelt(confirmation.params)
    title = f"{study.name}: trial {confirmation.trial} on fresh seeds ({winner})"
    return Block(title, CONFIRMED_HEAD, body, notes)


def _confirmed_cells(line: Confirmed) -> tuple[Cell, ...]:
    contrast, bold = line.contrast, line.significant
    metric = f"{line.question.task_label}, {line.question.metric} (%)"
    return (
        *map(Cell, (metric, line.question.probe_label, line.clips)),
        Cell(line.verdict, bold=bold),
        Cell(percent(contrast.score)),
        Cell(percent(contrast.difference, signed=True), bold=bold),
        *_intervals(contrast),
        *map(Cell, (formats.p_value(line.p_seeds), formats.p_value(line.p_clips))),
        *map(Cell, (str(len(contrast.seeds)), formats.count(contrast.clips))),
    )


def best_trials(study: Study) -> list[StudyTrial]:
    """The best ten by score, and the default's where it is none of them."""
    scored = [trial for trial in study.complete if trial.score is not None]
    scored.sort(key=lambda trial: (-(trial.score or 0.0), trial.number))
    rest = [trial for trial in scored[SHOWN:] if trial.params == study.default]
    return [*scored[:SHOWN], *rest[:1]]


def trials_block(found: Ablation) -> Block:
    """The best trials of a search, which are chosen for their luck as well."""
    study = found.study
    axes = [axis.name for axis in study.axes]
    head = ("trial", "score", *([study.cost] if study.cost else []), *axes, "seeds")
    body = []
    for trial in best_trials(study):
        name = f"{trial.number} (default)" if trial.params == study.default else str(trial.number)
        cost = [] if study.cost is None else [DASH if trial.cost is None else f"{trial.cost:.3g}"]
        taken = [
            formats.value_words(trial.params[axis]) if axis in trial.params else DASH for axis in axes
        ]
        words = (name, percent(trial.score), *cost, *taken, ", ".join(map(str, trial.seeds)))
        body.append(tuple(map(Cell, words)))
    metric = "" if found.scored is None else f", {found.scored.metric}"
    count = len(study.complete)
    notes = (
        found.verdict,
        f"The {min(SHOWN, count)} best of {count} complete trials, and the default. These scores are "
        "too good: they were chosen among on the same seeds and clips.",
    )
    title = f"{study.name}: best trials by {study.task}, {study.probe}{metric} (%)"
    return Block(title, head, tuple(body), notes)


def importance_block(study: Study) -> Block:
    """The share of the scores' variance that each axis explains."""
    shares = sorted(study.importance.items(), key=lambda item: (-item[1], item[0]))
    left_out = [axis.name for axis in study.axes if axis.name not in study.importance]
    notes = ["Share of the variance of the trials' scores that an axis explains (fANOVA), in percent."]
    if left_out:
        why = "they do not apply to every trial or do not vary"
        notes.append(f"Without a share, for {why}: {', '.join(left_out)}")
    body = tuple((Cell(name), Cell(percent(share))) for name, share in shares)
    return Block(f"{study.name}: importance of the axes", ("axis", "share"), body, tuple(notes))


def files(found: Ablation) -> dict[str, str]:
    """The study's tables by file name: Markdown, CSV and LaTeX."""
    blocks = numbers(found)
    said = facts(found)
    spoken = [f"% {note}" for note in said.notes]
    latex = [formats.latex(block) for block in blocks]
    return {
        f"{found.name}.md": formats.markdown([said, *blocks]),
        f"{found.name}.csv": formats.comma_separated(CSV_HEAD, list(_values(found))),
        f"{found.name}.tex": "\n".join(["\n".join(spoken) + "\n", *latex]),
    }


def _values(found: Ablation) -> Iterator[list[Any]]:
    study = found.study
    scored = {"task": study.task, "probe": study.probe}
    for asked in found.effects:
        for axis, score in asked.defaults.items():
            yield _line(kind="default", axis=axis, score=score, **_asked(asked.question))
        for effect in asked.effects:
            tests = _tests(effect.contrast, effect.p_seeds, effect.p_clips) | _asked(asked.question)
            tests |= {"cells": effect.cells, "significant": effect.significant}
            kind = "control" if effect.control else "effect"
            yield _line(kind=kind, axis=effect.axis, choice=effect.choice, **tests)
    for line in found.confirmed:
        tests = _tests(line.contrast, line.p_seeds, line.p_clips) | _asked(line.question)
        tests |= {"test_clips": line.clips, "significant": line.significant}
        yield _line(kind="confirmation", choice=line.verdict, **tests)
    for name, share in study.importance.items():
        yield _line(kind="importance", axis=name, share=share, **scored)
    for trial in study.trials:
        yield _line(
            kind="trial",
            trial=trial.number,
            state=trial.state,
            score=trial.score,
            cost=trial.cost,
            parameters="; ".join(f"{name}={value}" for name, value in trial.params.items()),
            seeds=len(trial.seeds),
            run_ids=" ".join(trial.runs),
            **scored,
        )


def _asked(question: Question) -> dict[str, Any]:
    asked = (question.task_label, question.probe_label, question.metric)
    return dict(zip(("task", "probe", "metric"), asked, strict=True))


def _tests(contrast: Contrast, p_seeds: float, p_clips: float) -> dict[str, Any]:
    values: dict[str, Any] = {"score": contrast.score, "difference": contrast.difference}
    for name, bounds in (("seeds", contrast.over_seeds), ("clips", contrast.over_clips)):
        if bounds is not None:
            values |= {f"{name}_low": bounds.low, f"{name}_high": bounds.high}
    values |= {"p_seeds": p_seeds, "p_clips": p_clips, "pairs": contrast.pairs}
    return values | {
        "seeds": len(contrast.seeds),
        "clips": contrast.clips,
        "run_ids": " ".join(contrast.runs),
    }


def _line(**values: Any) -> list[Any]:
    return [_rounded(values.get(name)) for name in CSV_HEAD]


def _rounded(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) and math.isfinite(value) else value
