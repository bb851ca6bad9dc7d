"""The help pages, written from the drawers and the commented configuration; imports nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path

from suite.drawers import DRAWERS, presets
from suite.drawers import facts as source_facts

VERBS = {
    "list": "what exists, one line each, and what is ready to run",
    "doctor": "is this machine fit? each line ok, or the cure",
    "preview": "see and hear a source, or source=all: contact sheet, WAVs, the drawn factors",
    "properties": "measure sources as the encoder sees them: a table with intervals",
    "pretrain": "one experiment -> runs/<run_id>, resumable",
    "evaluate": "a run -> rows and predictions, by task and probe",
    "compare": "a grid of sources and seeds; prints its price first",
    "report": "rows -> tables, plots and the leaderboard page",
    "verify": "recompute every published number from its predictions",
}

EXAMPLES = {
    "list": ["sourcebench list", "sourcebench list sources", "sourcebench list runs"],
    "doctor": [
        "sourcebench doctor",
        "sourcebench doctor paths.data=/data/audio",
        "SOURCEBENCH_DATA=/data/audio sourcebench doctor",
    ],
    "preview": [
        "sourcebench preview source=dead_leaves source.shape=mixed count=12",
        "sourcebench preview source=mixture 'source.parts={audiopg: 1, dead_leaves: 2}' masks=false",
        "sourcebench preview source=all count=4",
    ],
    "properties": [
        "sourcebench properties source=audiopg,dead_leaves,noise",
        "sourcebench properties source=dead_leaves source.shape=oriented inputs=128",
        "SOURCEBENCH_DATA=/data/audio sourcebench properties source=all",
    ],
    "pretrain": [
        "sourcebench pretrain source=dead_leaves source.shape=oriented scale=nano seed=1",
        "sourcebench pretrain source=mixture 'source.parts={audiopg: [1, 0], dead_leaves: [0, 1]}'",
        "torchrun --nproc-per-node 8 -m suite pretrain scale=base frontend=kaldi pool=null",
    ],
    "evaluate": [
        "sourcebench evaluate run=runs/<run_id>",
        "sourcebench evaluate run=runs/<run_id> tasks=[esc50] probes=[linear,knn]",
        "SOURCEBENCH_DATA=/data/audio sourcebench evaluate run=runs/<run_id> tasks=[esc10]",
    ],
    "compare": [
        "sourcebench compare comparison=quick",
        "sourcebench compare comparison=esc50-nano dry=true",
        "sourcebench compare comparison=esc50-nano comparison.seeds=5 workers=4",
    ],
    "report": [
        "sourcebench report",
        "sourcebench report paths.results=runs/quick",
        "open results/leaderboard/index.html",
    ],
    "verify": [
        "sourcebench verify",
        "sourcebench verify paths.results=runs/quick",
        "sourcebench verify && sourcebench report",
    ],
}

USES_ENTRIES = {
    "preview": ("sources", "masks"),
    "properties": ("sources",),
    "pretrain": ("sources", "masks", "objectives"),
    "evaluate": ("tasks", "probes"),
    "compare": ("sources", "tasks", "probes"),
}

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 data missing, 130 interrupted (saved)."


def front() -> str:
    """``sourcebench --help``."""
    verbs = "\n".join(f"  {verb:<10} {purpose}" for verb, purpose in VERBS.items())
    return (
        "sourcebench: which pre-training source makes the best audio encoder, and why?\n\n"
        f"usage: sourcebench <verb> [key=value ...]\n\n{verbs}\n\n"
        "Start with:  sourcebench compare comparison=quick\n"
        f"More:        sourcebench <verb> --help\n\n{EXIT_CODES}"
    )


def of(verb: str) -> str:
    """``sourcebench <verb> --help``: purpose, examples, the drawers' entries, every key."""
    examples = "\n".join(f"  {line}" for line in EXAMPLES[verb])
    parts = [f"sourcebench {verb}: {VERBS[verb]}", f"Examples\n{examples}"]
    parts += [entries(section) for section in USES_ENTRIES.get(verb, ())]
    if verb == "compare":
        parts.append(preset_lines("comparison"))
    if verb in ("preview", "pretrain", "compare"):
        parts += [preset_lines("scale"), preset_lines("frontend")]
    if verb != "list":
        keys = (Path(__file__).parent / "conf" / "config.yaml").read_text(encoding="utf-8")
        parts.append(f"Keys, with their defaults\n{keys.rstrip()}")
    return "\n\n".join([*parts, EXIT_CODES])


def entries(section: str) -> str:
    """The entries of one drawer, one line each."""
    found = sorted(DRAWERS[section].entries().items())
    width = max(len(name) for name, _ in found)
    lines = [
        f"  {name:<{width}}  {first_sentence(entry.summary).replace('``', '')}" for name, entry in found
    ]
    return "\n".join([section.capitalize(), *lines])


def source_lines() -> list[str]:
    """Two lines for each source, below its family: kind, speed, needs, citation; what it is."""
    families: dict[str, list[str]] = {}
    for name, entry in sorted(DRAWERS["sources"].entries().items()):
        facts = source_facts(name)
        needs = "" if facts["needs"] == "nothing" else f", needs {facts['needs']}"
        families.setdefault(facts["family"], []).append(
            f"    {name:<24} {facts['kind']}, {facts['speed']}{needs}; {facts['citation']}\n"
            f"      {first_sentence(entry.summary).replace('``', '')}"
        )
    lines = ["  speed on one core: fast 100 samples/s or more, moderate 10 to 100, slow under 10"]
    for family, entries in sorted(families.items()):
        lines += [f"  {family}", *entries]
    return lines


def preset_lines(group: str) -> str:
    """The presets of one configuration group, one line each."""
    lines = [f"  {group}={name:<14} {comment}" for name, comment in presets(group).items()]
    return "\n".join([f"{group.capitalize()} presets", *lines])


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"\.\s+(?=[A-Z])", text)[0].rstrip(".")


def runs(folder: Path) -> list[str]:
    """One line for each run folder: finished, or how to go on."""
    lines = []
    for path in sorted(folder.glob("*/experiment.yaml")):
        run = path.parent
        typed = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        state = "done" if (run / "DONE").exists() else f"unfinished; go on with: {typed}"
        lines.append(f"{run.name:<48} {state}")
    return lines or ["none yet; type: sourcebench compare comparison=quick"]


def task_states(data: Path) -> dict[str, str]:
    """``ready`` or ``data missing`` for each task."""
    states = {}
    for name in DRAWERS["tasks"].names():
        task = DRAWERS["tasks"].get(name)
        there = task.embedded or (data / task.folder).is_dir()
        states[name] = "ready" if there else "data missing"
    return states
