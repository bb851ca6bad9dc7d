"""The help pages, written from the drawers and the commented configuration; imports nothing heavy."""

from __future__ import annotations

import os
import re
from pathlib import Path

from suite.drawers import DRAWERS, presets
from suite.drawers import facts as source_facts
from tasks.archives import ALSO, DATA_SETS, of_folder

VERBS = {
    "list": "what exists, one line each, and what is ready to run",
    "doctor": "is this machine fit? each line ok, or the cure",
    "fetch": "data sets from their official downloads: licence and size first",
    "preview": "see and hear a source, or source=all: contact sheet, WAVs, the drawn factors",
    "properties": "measure sources as the encoder sees them: a table with intervals",
    "pretrain": "one experiment -> runs/<run_id>, resumable",
    "evaluate": "a run, or any encoder behind HEAR's calls -> rows and predictions",
    "reconstruct": "what a run predicts of hidden patches: figures and errors as it learnt",
    "compare": "a grid of sources, objectives, masks and seeds; prints its price first",
    "ablate": "a study of primitives, masks, mixtures or sizes: grid or search, resumable",
    "export": "take an encoder away: for HEAR's tools, timm, or a model hub",
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
    "fetch": [
        "sourcebench fetch esc50 speech_commands dry=true",
        "sourcebench fetch fsd50k paths.data=/data/audio mirror=https://mirror.example/fsd50k",
        "sourcebench fetch urbansound8k from=/media/disk/archives",
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
        "SOURCEBENCH_DATA=/data/audio sourcebench evaluate encoder=suite.hear_naive tasks=[esc10]",
    ],
    "reconstruct": [
        "sourcebench reconstruct run=runs/<run_id>",
        "sourcebench reconstruct run=runs/<run_id> count=4 tasks=[toy_vowel]",
        "SOURCEBENCH_DATA=/data/audio sourcebench reconstruct run=runs/<run_id> tasks=[esc50]",
    ],
    "compare": [
        "sourcebench compare comparison=quick",
        "sourcebench compare comparison=esc50-nano dry=true",
        "sourcebench compare comparison=recipes-nano 'comparison.masks=[random,time]'",
    ],
    "ablate": [
        "sourcebench ablate ablation=size",
        "SOURCEBENCH_DATA=/data/audio sourcebench ablate ablation=primitives workers=2",
        "sourcebench ablate ablation=procedural_search trials=40 confirm=5",
    ],
    "export": [
        "sourcebench export run=runs/<run_id> to=hear",
        "SOURCEBENCH_DATA=/data/audio sourcebench export run=runs/<run_id> to=hub statistics_of=esc50",
        "sourcebench export run=runs/<run_id> to=timm out=encoders/mine",
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
    "reconstruct": ("tasks",),
    "compare": ("sources", "tasks", "probes"),
    "ablate": ("sources", "masks", "tasks", "probes"),
}

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 data missing, 130 interrupted (saved)."


def front() -> str:
    """``sourcebench --help``."""
    verbs = "\n".join(f"  {verb:<11} {purpose}" for verb, purpose in VERBS.items())
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
    if verb == "fetch":
        parts.append(data_set_lines())
    if verb == "compare":
        parts.append(preset_lines("comparison"))
    if verb == "ablate":
        parts.append(preset_lines("ablation"))
    if verb in ("preview", "pretrain", "compare"):
        parts += [preset_lines(group) for group in ("experiment", "scale", "frontend")]
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


def data_set_lines() -> str:
    """The data sets that can be fetched, one line each."""
    lines = []
    for name, data_set in DATA_SETS.items():
        lines.append(f"  {name:<32} {data_set.download_text:>16}  {data_set.licence}")
    lines += [f"  {name:<32} {' and '.join(parts)}" for name, parts in ALSO.items()]
    return "\n".join(["Data sets", *lines])


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


def task_lines(data: Path) -> list[str]:
    """One line for each task, ready or not, and what to type for the data that are missing."""
    lines, missing = [], []
    for name, entry in sorted(DRAWERS["tasks"].entries().items()):
        task = DRAWERS["tasks"].get(name)
        there = task.embedded or (data / task.folder).is_dir()
        state = "ready" if there else "data missing"
        lines.append(f"  {name:<24} [{state}] {entry.summary}")
        source = None if there else of_folder(task.folder)
        missing += [source] if source and source not in missing else []
    if missing:
        lines.append(f"  to get what is missing below {data}/: sourcebench fetch {' '.join(missing)}")
    return lines


def listing(sections: list[str]) -> list[str]:
    """What ``sourcebench list`` prints of these sections."""
    lines = []
    for section in sections:
        lines.append(section)
        if section == "runs":
            lines += [f"  {line}" for line in runs(Path("runs"))]
        elif section == "sources":
            lines += source_lines()
        elif section == "tasks":
            lines += task_lines(Path(os.environ.get("SOURCEBENCH_DATA", "data")))
        else:
            found = sorted(DRAWERS[section].entries().items())
            lines += [f"  {name:<16} {entry.summary}" for name, entry in found]
    return lines
