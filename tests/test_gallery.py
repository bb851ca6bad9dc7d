"""The gallery shows every source it can on one page, and names those it cannot.

.venv/bin/python -m pytest tests/test_gallery.py
"""

from __future__ import annotations

import functools
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import generators
from generators.base import Source
from generators.drawer import UsageError
from suite import cli, drawers
from suite.configuration import configure, experiment_of
from suite.gallery import brought, gallery, time_limit

VOID = {"meta", "img", "input", "link", "br"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects ids, links, files and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.files: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.open += [] if tag in VOID else [tag]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        self.files += [given["src"] or ""] if "src" in given else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.said += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def show(tmp_path: Path, *names: str, words: tuple[str, ...] = ()) -> tuple[Any, list[str]]:
    """A small gallery below ``tmp_path``, and the lines it told."""
    told: list[str] = []
    paths = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "data")]
    small = ["count=2", "frontend.frames=48", "scale.patch=[16,16]", "pool=null", *paths, *words]
    made = gallery(small, tmp_path / "previews", tmp_path / "data", told.append, list(names))
    return made, told


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[str]]:
    return show(tmp_path_factory.mktemp("pair"), "dead_leaves", "noise", words=("seed=4",))


def test_the_page_has_a_section_for_each_family_and_players_for_sounds(pair: Any) -> None:
    made, told = pair
    assert made.failures == {}
    assert len(told) == 2
    page = read(made.page)
    assert [name for name in page.ids if name.startswith("family")] == [
        "family-noise",
        "family-dead-leaves",
    ]
    assert {"noise", "dead_leaves"} <= set(page.ids)
    sounds = [name for name in page.files if name.endswith(".wav")]
    assert sounds == ["noise/sample-000.wav", "noise/sample-001.wav"]
    assert len([name for name in page.files if name.endswith(".png")]) == 4
    for name in [*page.files, *(link for link in page.links if not link.startswith("#"))]:
        assert (made.page.parent / name).stat().st_size > 100, name
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    heard, rate = soundfile.read(made.page.parent / sounds[1], dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(
        heard, generators.create("noise", seed=4).sample(1).numpy(), atol=2.0**-14
    )


def test_the_page_fetches_nothing(pair: Any) -> None:
    made, _ = pair
    text = made.page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?:[a-z]+:)?//""", text)
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttp", text)
    assert "prefers-color-scheme: dark" in text


def test_facts_summary_factors_and_command_are_on_the_card(pair: Any) -> None:
    made, _ = pair
    said = read(made.page).said
    for value in drawers.facts("dead_leaves").values():
        assert value in said or value == "nothing"
    assert "sourcebench preview source=dead_leaves" in said
    assert "seed=4" in said
    drawn = json.loads((made.page.parent / "dead_leaves" / "factors.json").read_text())
    assert drawn["source"]["seed"] == 4
    assert "front radius" in said


def broken(self: Source, indices: Any) -> Any:
    raise ValueError("a <broken> source")


def slow(self: Source, indices: Any) -> Any:
    time.sleep(30)


def test_a_failing_source_is_named_and_does_not_spoil_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generators.catalogue.get("dead_leaves"), "parameters", broken)
    made, told = show(tmp_path, "dead_leaves", "noise")
    assert made.failures == {"dead_leaves": "ValueError: a <broken> source"}
    page = read(made.page)
    assert "a <broken> source" in page.said
    assert "1 failed: dead_leaves" in page.said
    assert "noise/sample-000.wav" in page.files
    assert "failed" in told[1]


def test_a_slow_source_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators.catalogue.get("dead_leaves"), "parameters", slow)
    start = time.perf_counter()
    made, _ = show(tmp_path, "dead_leaves", words=("patience=1",))
    assert time.perf_counter() - start < 20
    assert "patience=1 seconds" in made.failures["dead_leaves"]


def test_a_time_limit_leaves_no_alarm_behind() -> None:
    with pytest.raises(TimeoutError, match=r"patience=0\.01"), time_limit(0.01):
        time.sleep(5)
    with time_limit(0.05):
        pass
    time.sleep(0.1)


def test_a_source_that_needs_sounds_says_what_to_type_or_is_shown(tmp_path: Path) -> None:
    made, told = show(tmp_path, "recordings")
    assert made.failures == {}
    assert "needs a folder of sounds" in told[0]
    page = read(made.page)
    assert "source.folder=path/to/sounds" in page.said
    assert page.files == []
    folder = tmp_path / "data" / "pretrain_real"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)
    soundfile.write(folder / "a.wav", noise, 16_000)
    made, _ = show(tmp_path, "recordings")
    page = read(made.page)
    assert "recordings/sample-001.wav" in page.files
    assert "source.folder=pretrain_real" in page.said


def test_a_slow_source_is_shown_in_its_brief_form(tmp_path: Path) -> None:
    for name, entry in drawers.sources.entries().items():
        words = brought(name, tmp_path)
        assert words == ([f"source.{entry.facts['in_brief']}"] if "in_brief" in entry.facts else [])
    (word,) = brought("feature_vis_random", tmp_path)
    assert (
        vars(experiment_of(configure(["source=feature_vis_random", word])))["source"]["form"] == "small"
    )


def test_the_fields_of_one_source_are_not_those_of_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source=NAME source\.colour=pink"):
        show(tmp_path, "noise", words=("source.colour=pink",))
    with pytest.raises(UsageError, match="Did you mean 'count'"):
        show(tmp_path, "noise", words=("cont=3",))


def test_all_is_a_word_of_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = functools.partial(gallery, names=["dead_leaves", "noise"])
    monkeypatch.setattr("suite.gallery.gallery", few)
    monkeypatch.setattr(generators.catalogue.get("dead_leaves"), "parameters", broken)
    words = [
        "count=1",
        "pool=null",
        f"paths.runs={tmp_path}",
        f"paths.cache={tmp_path}",
        f"paths.data={tmp_path}",
    ]
    assert cli.main(["preview", "source=all", *words]) == 1
    said = capsys.readouterr()
    assert f"page  {(tmp_path / 'previews' / 'index.html').as_uri()}" in said.out
    assert "failed: dead_leaves: ValueError" in said.err
    assert (tmp_path / "previews" / "noise" / "sample-000.wav").exists()
