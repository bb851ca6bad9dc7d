"""The door: help, exit codes, and answers that end in something to type.

.venv/bin/python -m pytest tests/test_cli.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_runs

from suite import cli, drawers
from suite import help as pages

ROOT = Path(__file__).resolve().parent.parent
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("verb", list(cli.VERBS))
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_verb_explains_itself(verb: str, flag: str, capsys: Captured) -> None:
    assert cli.main([verb, flag]) == 0
    said = capsys.readouterr().out
    for example in pages.EXAMPLES[verb]:
        assert example in said
    assert len(pages.EXAMPLES[verb]) == 3
    for section in pages.USES_ENTRIES.get(verb, ()):
        for name in drawers.DRAWERS[section].names():
            assert f"  {name} " in said, name
    if verb != "list":
        config = (ROOT / "suite" / "conf" / "config.yaml").read_text()
        assert config.strip() in said
    assert "130 interrupted" in said


def test_the_front_page_names_every_verb(capsys: Captured) -> None:
    for words in ([], ["--help"], ["help"]):
        assert cli.main(words) == 0
        said = capsys.readouterr().out
        assert all(f"  {verb} " in said for verb in cli.VERBS)
    assert set(pages.VERBS) == set(pages.EXAMPLES) == set(cli.VERBS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from suite import cli; cli.main(['pretrain', '--help']); "
        "print([name for name in ('torch', 'pandas', 'hydra', 'timm') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_misspelt_verb_is_answered_with_its_neighbour(capsys: Captured) -> None:
    assert cli.main(["pretain"]) == 2
    assert "'pretrain'" in capsys.readouterr().err
    assert cli.main(["list", "source"]) == 2
    assert "'sources'" in capsys.readouterr().err


def test_the_version_is_the_installed_one(capsys: Captured) -> None:
    from importlib.metadata import version

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("sourcebench")


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["pretrain", "source=audiopgg"], 2, "'audiopg'"),
        (["pretrain", "scale.widht=3"], 2, "'width'"),
        (["pretrain", "seed"], 2, "key=value"),
        (["pretrain", "device=cuda:9", "threads=1"], 2, "doctor"),
        (["evaluate"], 2, "run=runs/<run_id>"),
        (["evaluate", "run=nowhere", "tasks=[toy_cuont]"], 2, "'toy_count'"),
        (["evaluate", "run=nowhere", "probes=[linaer]"], 2, "'linear@1'"),
        (["evaluate", "run=nowhere", "pooling=patch-maen"], 2, "'patch-mean@1'"),
        (["evaluate", "run=nowhere"], 3, "list runs"),
        (["compare"], 2, "comparison=NAME"),
        (["compare", "comparison=quik"], 2, "'quick'"),
        (["compare", "comparison=esc50-nano", "paths.data=nowhere", "dry=true"], 3, "0.6 GB"),
        (["pretrain", "source=recordings", "source.folder=nowhere"], 3, "nowhere"),
        (["pretrain", "source=recordings"], 2, "source.folder"),
        (["preview", "source=noise", "count=0"], 2, "count=0"),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_its_answer(
    words: list[str],
    code: int,
    answer: str,
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert answer in said
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["runs", "cache", "results"])
def test_a_file_where_a_folder_has_to_be_is_named(kind: str, capsys: Captured, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    words = [*tiny_runs.words(tmp_path), f"paths.{kind}={blocked}"]
    if kind == "results":
        words = [word for word in words if not word.startswith("source")]
        grid = [
            "comparison=quick",
            "comparison.sources=[noise]",
            "comparison.controls=[mel_statistics]",
        ]
        code = cli.main(
            ["compare", *grid, "comparison.seeds=1", "comparison.tasks=[toy_count]", *words]
        )
    else:
        code = cli.main(["pretrain", *words])
    assert code == 1
    said = capsys.readouterr().err
    assert f"error: {blocked}" in said
    assert f"paths.{kind}=" in said


def test_an_interrupt_says_what_is_kept_and_what_to_type(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "report", interrupted)
    assert cli.main(["report", "paths.results=some where"]) == 130
    said = capsys.readouterr().err
    assert "what was finished is kept" in said
    assert "sourcebench report 'paths.results=some where'" in said


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_words: list[str]) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(cli.VERBS, "report", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["report"])


def test_a_full_disk_says_what_to_delete(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(_words: list[str]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cache/pools/x.npy")

    monkeypatch.setitem(cli.VERBS, "report", full)
    assert cli.main(["report"]) == 1
    assert "no space left at cache/pools/x.npy" in capsys.readouterr().err


def test_list_shows_every_drawer(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCEBENCH_DATA", str(tmp_path))
    assert cli.main(["list"]) == 0
    said = capsys.readouterr().out
    for section, drawer in drawers.DRAWERS.items():
        assert f"\n{section}\n" in f"\n{said}"
        assert all(f"  {name} " in said for name in drawer.names())
    assert "[data missing]" in said
    assert "[ready]" in said
    assert "none yet" in said
    tiny_runs.run(tmp_path)
    assert cli.main(["list", "runs"]) == 0
    assert capsys.readouterr().out.strip().endswith("done")


def test_preview_writes_a_sheet_sounds_and_factors(capsys: Captured, tmp_path: Path) -> None:
    assert cli.main(["preview", *tiny_runs.words(tmp_path), "count=2"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.suffix for path in paths} == {".png", ".wav", ".json"}
    assert all(path.stat().st_size > 100 for path in paths)


def test_sources_are_listed_below_their_family_with_what_they_need(capsys: Captured) -> None:
    assert cli.main(["list", "sources"]) == 0
    said = capsys.readouterr().out
    for name in drawers.sources.names():
        facts = drawers.facts(name)
        (line,) = (line for line in said.splitlines() if line.startswith(f"    {name} "))
        above = said[: said.index(line)].splitlines()
        assert [text.strip() for text in above if text[2] != " "][-1] == facts["family"]
        assert facts["kind"] in line
        assert facts["speed"] in line
        assert facts["citation"] in line
        assert ("needs" in line) == (facts["needs"] != "nothing")


def test_only_the_chosen_source_is_imported() -> None:
    program = (
        "import sys; from suite.configuration import configure; configure(['source=noise']); "
        "print(*(name for name in sys.modules if name.startswith('generators.')))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    entries = drawers.sources.entries()
    assert entries["noise"].module in loaded
    assert entries["dead_leaves"].module not in loaded


def test_preview_without_masks_says_so_by_a_switch(capsys: Captured, tmp_path: Path) -> None:
    assert cli.main(["preview", *tiny_runs.words(tmp_path), "count=1", "masks=false"]) == 0
    assert cli.main(["preview", "masks=maybe"]) == 2
    assert "masks='maybe'" in capsys.readouterr().err


def test_a_run_is_made_and_scored_by_the_commands_that_are_printed(
    capsys: Captured, tmp_path: Path
) -> None:
    assert cli.main(["pretrain", *tiny_runs.words(tmp_path)]) == 0
    following = capsys.readouterr().out.splitlines()[-1].removeprefix("next: sourcebench evaluate ")
    words = [
        following,
        "tasks=[toy_count]",
        "probes=[knn]",
        "curve=[]",
        f"paths.cache={tmp_path}/cache",
    ]
    assert cli.main(["evaluate", *words, *tiny_runs.HERE]) == 0
    said = capsys.readouterr().out
    assert "toy_count" in said
    assert "3 measured now, 0 already there" in said
    assert cli.main(["evaluate", *words, *tiny_runs.HERE]) == 0
    assert "0 measured now, 3 already there" in capsys.readouterr().out


def test_doctor_ends_with_one_where_something_must_be_cured(capsys: Captured, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert cli.main(["doctor", f"paths.runs={blocked}"]) == 1
    assert "CURE" in capsys.readouterr().out
