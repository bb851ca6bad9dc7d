"""What each verb does with the words behind it; each imports its phase when it is called."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.drawer import UsageError, neighbours
from suite import help as pages

if TYPE_CHECKING:
    from omegaconf import DictConfig

DONE, FAILED = 0, 1  # what a verb returns


def command(words: list[str]) -> str:
    """The command line as it can be pasted again."""
    return shlex.join(["sourcebench", *words])


def list_entries(words: list[str]) -> int:
    """``list [sources|masks|objectives|probes|tasks|runs]``."""
    from suite.drawers import DRAWERS

    sections = [*DRAWERS, "runs"]
    for word in words:
        if word not in sections:
            raise UsageError(f"nothing to list under {word!r}.{neighbours(word, sections)}")
    print("\n".join(pages.listing(words or sections)))
    return DONE


def doctor(words: list[str]) -> int:
    """``doctor``: exit code 1 where something must be cured."""
    from suite.configuration import configure
    from suite.doctor import checks

    config = configure(words)
    paths = places(config)
    folders = {"runs": paths.runs, "cache": paths.cache, "results": Path(config.paths.results)}
    found = checks(paths.data, folders)
    for check in found:
        print(f"{'ok  ' if check.ok else 'CURE'} {check.name:<14} {check.detail}")
        if not check.ok:
            print(f"     -> {check.cure}")
    return DONE if all(check.ok for check in found) else FAILED


def fetch(words: list[str]) -> int:
    """``fetch NAME ...``: data sets from their official downloads."""
    from suite.fetch import fetch as get

    get(words)
    return DONE


def preview(words: list[str]) -> int:
    """``preview source=NAME|all``: contact sheets, WAVs and the drawn factors."""
    from suite.configuration import configure, experiment_of
    from suite.preview import preview as draw

    if "source=all" in words:
        return gallery([word for word in words if word != "source=all"])
    config = configure(words)
    experiment = experiment_of(config)
    paths = places(config)
    source = experiment.build_source(paths.data, paths.cache)
    out = paths.runs / "previews" / re.sub(r"[^\w.=,-]+", "-", experiment.label).strip("-")
    masking = experiment.build_masking() if config["masks"] else None
    patch, count = experiment.scale.patch, int(config["count"])
    for path in draw(source, experiment.frontend, masking, patch, out, count).paths:
        print(path)
    return DONE


def gallery(words: list[str]) -> int:
    """``preview source=all``: every source on one page; exit code 1 where one failed."""
    from suite.configuration import configure
    from suite.gallery import gallery as draw

    paths = places(configure(words))
    made = draw(words, paths.runs / "previews", paths.data, lambda line: print(line, flush=True))
    print(f"page  {made.page.resolve().as_uri()}")
    for name, reason in made.failures.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    return FAILED if made.failures else DONE


def properties(words: list[str]) -> int:
    """``properties source=NAME,NAME|all``: a table; exit code 1 where a source failed."""
    from suite.properties import tabulate

    made = tabulate(words, lambda line: print(line, file=sys.stderr, flush=True))
    print(made.markdown, *made.paths, sep="\n")
    return FAILED if made.failures else DONE


def pretrain(words: list[str]) -> int:
    """``pretrain source=... scale=...``: one experiment to one run folder."""
    from suite.configuration import configure, experiment_of
    from suite.machine import open_machine
    from suite.pretrain import Keeping
    from suite.pretrain import pretrain as train

    config = configure(words)
    experiment = experiment_of(config)
    machine = open_machine(config.device, experiment.training.precision, config.threads)
    existed = (Path(config.paths.runs) / experiment.run_id / "DONE").exists()
    run = train(
        experiment,
        places(config),
        machine,
        command=command(["pretrain", *words]),
        keeping=Keeping.of(config),
    )
    if machine.writes:
        print(f"{'already done' if existed else 'done'}: {run}")
        print(f"next: {command(['evaluate', f'run={run}'])}")
    return DONE


def evaluate(words: list[str]) -> int:
    """``evaluate run=...|encoder=MODULE tasks=[...] probes=[...]``: rows and predictions."""
    import tasks
    from suite.configuration import configure
    from suite.drawers import probe_id
    from suite.evaluate import judge, summary
    from suite.judged import health_lines, judged_module, judged_run
    from suite.machine import open_machine
    from suite.pooling import pooling_of

    modules = [word.partition("=")[2] for word in words if word.startswith("encoder=")]
    config = configure([word for word in words if not word.startswith("encoder=")])
    if (config.run is None) == (not modules) or len(modules) > 1:
        raise UsageError(
            "which encoder? Type run=runs/<run_id> (`sourcebench list runs` names them), or "
            "encoder=MODULE for one behind HEAR's calls."
        )
    paths = places(config)
    machine = open_machine(config.device, config.training.precision, config.threads)
    asked = [tasks.create(name, data=paths.data, partial=config.partial) for name in config.tasks]
    probes = [probe_id(name) for name in config.probes]
    pooling = pooling_of(config.pooling).name
    judged = (
        judged_module(modules[0], paths.runs, machine, command(["evaluate", *words]))
        if modules
        else judged_run(Path(config.run), machine)
    )
    print("\n".join(health_lines(judged)), end="\n" * bool(modules))
    done = judge(judged, asked, probes, machine, paths.cache, pooling=pooling)
    print(summary(done.rows))
    print(f"{done.measured} measured now, {done.already} already there: {judged.folder / 'rows.jsonl'}")
    return DONE


def export(words: list[str]) -> int:
    """``export run=... to=hear|timm|hub``: the encoder as a folder of its own."""
    import tasks
    from suite.configuration import configure
    from suite.export import KINDS, OWN_SOURCE, Wanted
    from suite.export import export as take_away

    config = configure(words)
    if config.run is None or config.to not in KINDS:
        raise UsageError(
            f"what, and where to? Type run=runs/<run_id> (`sourcebench list runs` names them) and "
            f"to={'|'.join(KINDS)}."
        )
    paths, run = places(config), Path(config.run)
    task = None
    if config.statistics_of != OWN_SOURCE:
        task = tasks.create(config.statistics_of, data=paths.data, partial=config.partial)
    wanted = Wanted(run=run, task=task, pooling=config.pooling, cache=paths.cache)
    out = Path(config.out or paths.runs / "exports" / f"{run.name}-{config.to}")
    print(f"exported: {take_away(wanted, config.to, out)}")
    print(NEXT[config.to].format(out=out))
    return DONE


def reconstruct(words: list[str]) -> int:
    """``reconstruct run=... [tasks=[...]]``: hidden patches beside what was predicted of them."""
    from suite.analysis.reconstruction import reconstruct as draw

    draw(words, print)
    return DONE


def compare(words: list[str]) -> int:
    """``compare comparison=...``: a grid, its price first."""
    from suite import comparison
    from suite.compare import check_names, price
    from suite.compare import compare as run_grid
    from suite.configuration import configure
    from suite.report.shown import show

    config = configure(words)
    grid = comparison.read(config)
    cells = comparison.cells(grid, words)
    settings = comparison.settings(grid, words)
    check_names(cells, settings)
    print(f"comparison {grid.name}: {price(cells, settings)}", flush=True)
    if config.dry:
        return DONE
    failures = run_grid(cells, settings)
    show(settings.results)
    for failure in failures:
        print(
            f"failed: {failure.run_id}\n  {failure.reason}\n  again: {failure.command}", file=sys.stderr
        )
    return FAILED if failures else DONE


def ablate(words: list[str]) -> int:
    """``ablate ablation=... [trials=N] [confirm=N]``: a study, its price first, then its winner."""
    from suite.ablate import ablate as run_study
    from suite.report.shown import show

    public = [word for word in words if not word.startswith("storage=")]  # it may hold a password
    done = run_study(words, command(["ablate", *public]), lambda line: print(line, flush=True))
    if done is None:
        return DONE
    show(done.results, done.name)
    for failure in done.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return FAILED if done.failures else DONE


def report(words: list[str]) -> int:
    """``report``: rows to tables, plots and the leaderboard."""
    from suite.configuration import configure
    from suite.report.shown import show

    show(Path(configure(words).paths.results))
    return DONE


def verify(words: list[str]) -> int:
    """``verify``: recompute every published number from its predictions."""
    from suite.configuration import configure
    from suite.verify import verify as recompute

    found = recompute(Path(configure(words).paths.results))
    for finding in found.findings:
        print(f"{finding.kind}: {finding.message}")
    print(found.summary)
    return DONE if found.passed else FAILED


def places(config: DictConfig) -> Any:
    """The folders of this call."""
    from suite.pretrain import Places

    paths = config.paths
    return Places(data=Path(paths.data), runs=Path(paths.runs), cache=Path(paths.cache))


NEXT = {  # what to do with an exported encoder
    "hear": "next: hear-validator suite.hear_api --model {out}",
    "timm": "next: timm.create_model('local-dir:{out}', pretrained=True), in Python",
    "hub": "next: read {out}/README.md, then `hf upload NAME {out}` with your own login",
}

VERBS: dict[str, Callable[[list[str]], int]] = {
    "list": list_entries,
    "doctor": doctor,
    "fetch": fetch,
    "preview": preview,
    "properties": properties,
    "pretrain": pretrain,
    "evaluate": evaluate,
    "reconstruct": reconstruct,
    "compare": compare,
    "ablate": ablate,
    "export": export,
    "report": report,
    "verify": verify,
}
