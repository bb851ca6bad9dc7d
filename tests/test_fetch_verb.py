"""The verb fetch: price first, dry stops there, and every refusal says what to type.

.venv/bin/python -m pytest tests/test_fetch_verb.py
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import fetch_server as web
import pytest

from suite import cli
from tasks import BadData, archives

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[web.Site]:
    """A server, and its data set in the table under the name birds."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with web.serving({"birds.zip": web.BIRDS}) as opened:
        monkeypatch.setitem(archives.DATA_SETS, "birds", web.birds(opened.address))
        yield opened


def test_the_price_comes_first_and_dry_stops_there(
    site: web.Site, capsys: Captured, tmp_path: Path
) -> None:
    words = ["fetch", "birds", f"paths.data={tmp_path}/data"]
    assert cli.main([*words, "dry=true"]) == 0
    said = capsys.readouterr().out
    assert "licence CC BY 4.0" in said
    assert "free at" in said
    assert not site.requests
    assert not (tmp_path / "data").exists()
    assert cli.main(words) == 0
    assert web.tree(tmp_path / "data" / "birds") == web.OFFICIAL
    assert "birds: done" in capsys.readouterr().err
    assert cli.main(words) == 0
    assert "already there" in capsys.readouterr().out
    assert len(site.requests) == 1


def test_a_task_judges_its_data_set_before_it_is_put_in_place(
    site: web.Site, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Birds in the folder of ESC-50: its task finds no esc50.csv, and then a wrong one."""
    birds = dataclasses.replace(archives.DATA_SETS["birds"], folder="ESC-50-master")
    packed_anew = tuple(dataclasses.replace(archive, regenerated=True) for archive in birds.archives)
    unsure = dataclasses.replace(birds, archives=packed_anew)
    monkeypatch.setitem(archives.DATA_SETS, "birds", unsure)
    words = ["fetch", "birds", f"paths.data={tmp_path}"]
    assert cli.main(words) == 3
    assert "esc50.csv is not there" in capsys.readouterr().err
    assert not (tmp_path / "ESC-50-master").exists()
    monkeypatch.setitem(archives.DATA_SETS, "birds", birds)
    assert cli.main(words) == 0, "its checksum is right: another data set is missing beside it"
    assert "could not be read yet" in capsys.readouterr().out
    assert (tmp_path / "ESC-50-master").is_dir()


def test_a_wrong_split_is_refused_whatever_the_checksum(tmp_path: Path) -> None:
    from suite.fetch import judged

    esc50 = archives.DATA_SETS["esc50"]
    for folder in ("audio", "meta"):
        (tmp_path / "ESC-50-master" / folder).mkdir(parents=True)
    (tmp_path / "ESC-50-master" / "meta" / "esc50.csv").write_text("filename,fold\n")
    with pytest.raises(BadData, match="no column"):
        judged(esc50, tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        ([], 2, "fetch what? Known: esc50"),
        (["esc5"], 2, "'esc50'"),
        (["toy_pitch"], 2, "nothing to fetch"),
        (["esc50", "form=x"], 2, "'from'"),
        (["esc50", "from=nowhere"], 3, "no such folder"),
        (["urbansound8k", "checksum=[md5:12]"], 2, "md5: and 32"),
        (["esc50", "mirror=ftp://host/x"], 2, "http://"),
        (["esc50", "keep=perhaps"], 2, "keep"),
        (["esc10", "from=."], 3, "ESC-50-master.zip not there"),
    ],
)
def test_what_cannot_be_fetched_has_its_answer(
    words: list[str],
    code: int,
    answer: str,
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCEBENCH_DATA", raising=False)
    assert cli.main(["fetch", *words]) == code
    assert answer in capsys.readouterr().err


def test_missing_data_are_listed_with_the_command_that_gets_them(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCEBENCH_DATA", str(tmp_path))
    assert cli.main(["list", "tasks"]) == 0
    assert "sourcebench fetch esc50" in capsys.readouterr().out
    cli.main(["doctor"])
    assert "sourcebench fetch esc50" in capsys.readouterr().out
