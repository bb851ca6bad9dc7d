"""Each pooling is what its paper says, depends on the clip alone, and is part of a result's identity.

.venv/bin/python -m pytest tests/test_pooling.py
"""

from __future__ import annotations

import re
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import tiny_runs
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from rendered_results import summary_of
from synthetic_results import SMALL, write_results
from tone_tasks import FRONTEND, Tones, encoder, raw_images, trained
from torch import Tensor

from generators.drawer import UsageError
from suite import chunks, cli, comparison
from suite import evaluate as evaluation
from suite import views as viewing
from suite.chunks import clip_embeddings
from suite.configuration import configure
from suite.encoder import Architecture, Encoder
from suite.evaluate import evaluate
from suite.judged import poolings
from suite.pooling import POOLINGS, pooling_of
from suite.report import plots, render
from suite.rows import POOLING, Row, add_rows, predictions_of, read_rows
from suite.verify import verify
from suite.views import views

NAMES = list(POOLINGS)
PAPERS = ("frequency-stacked@1", "class-token@1", "patch-mean@1")
BANDS, WIDTH, CHUNK = 5, 16, FRONTEND.frames  # band steps and width of tone_tasks' encoder
Captured = pytest.CaptureFixture[str]


def pooled(name: str, raw: Tensor, model: Encoder | None = None) -> Tensor:
    return clip_embeddings(model or encoder(), FRONTEND, raw, tiny_runs.machine(), name)


# ---------------------------------------------------------------------------------------------------
# What is computed


def direct(name: str, raw: Tensor) -> Tensor:
    """The pooling of whole patches of ``raw (B, F, T)``, token by token from the encoder's tokens."""
    images, model = FRONTEND.standardise(raw), encoder()
    tokens = [model.tokens(images[:, :, i : i + CHUNK]) for i in range(0, raw.shape[2], CHUNK)]
    if name == "class-token@1":
        return sum(chunk[:, 0] for chunk in tokens) / torch.tensor(float(len(tokens)))
    steps = [  # token 1 + t * F' + f is the patch at time step t and band step f
        [chunk[:, 1 + t * BANDS + f] for f in range(BANDS)]
        for chunk in tokens
        for t in range((chunk.shape[1] - 1) // BANDS)
    ]
    if name == "patch-mean@1":
        patches = [patch for step in steps for patch in step]
        return torch.stack(patches).mean(dim=0)
    stacked = torch.stack([torch.cat(step, dim=1) for step in steps])  # (T', B, F' D)
    if name == "frequency-stacked@1":
        return stacked.mean(dim=0)
    moves = stacked[1:] - stacked[:-1]
    return torch.cat([stacked.mean(0), stacked.std(0, correction=0), moves.std(0, correction=0)], dim=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [48, 112, 480])
def test_a_pooling_is_computed_from_the_tokens_of_every_chunk(name: str, frames: int) -> None:
    raw = raw_images(frames)
    assert torch.allclose(pooled(name, raw), direct(name, raw), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [10, 48, 100, 480])
def test_it_does_not_depend_on_the_batch(name: str, frames: int) -> None:
    raw = raw_images(frames)
    alone = torch.cat([pooled(name, raw[i : i + 1]) for i in range(len(raw))])
    assert torch.allclose(pooled(name, raw), alone, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_padded_to_whole_patches_only(name: str) -> None:
    raw = raw_images(50)
    padded = FRONTEND.pad_frames(raw, 64)
    assert torch.allclose(pooled(name, raw), pooled(name, padded), atol=1e-5)
    assert torch.allclose(pooled(name, raw), direct(name, padded), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_long_clip_is_pooled_in_passing_to_the_same_numbers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "BLOCK", 100)
    raw = raw_images(480)
    assert torch.allclose(pooled(name, raw), direct(name, raw), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_chunks_of_a_long_clip_are_not_kept(name: str) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def passing() -> Iterator[Tensor]:
        for seed in range(20):
            chunk = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(seed))
            alive.add(chunk)
            assert len(alive) <= 2  # this one and the one before it
            yield chunk

    assert POOLINGS[name].in_passing(passing()).isfinite().all()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("mean-std-change@1", 3 * 3840),
        ("frequency-stacked@1", 3840),
        ("class-token@1", 768),
        ("patch-mean@1", 768),
    ],
)
def test_the_published_sizes_of_vit_b_behind_80_bands(name: str, numbers: int) -> None:
    with torch.device("meta"):  # shapes without numbers
        model, raw = Encoder(depth=1), torch.zeros(2, 80, 250)
    assert pooled(name, raw, model).shape == (2, numbers)


def test_the_control_without_a_network_is_not_pooled() -> None:
    raw, machine = raw_images(20), tiny_runs.machine()
    said = [clip_embeddings(None, FRONTEND, raw, machine, name) for name in NAMES]
    assert all(torch.equal(said[0], other) for other in said)


# ---------------------------------------------------------------------------------------------------
# Names


def test_names_carry_a_version_and_the_default_is_one_of_them() -> None:
    assert all(re.fullmatch(r"[a-z-]+@\d+", name) for name in NAMES)
    assert [POOLINGS[name].name for name in NAMES] == NAMES
    assert configure([]).pooling == POOLING
    assert POOLING in POOLINGS
    assert [pooling_of(name.partition("@")[0]).name for name in NAMES] == NAMES
    with pytest.raises(UsageError, match=r"'clas-token'\. Did you mean 'class-token@1'\?"):
        pooling_of("clas-token")


def test_an_encoder_without_a_class_token_is_refused() -> None:
    model = Encoder(width=16, depth=1, heads=2, architecture=Architecture(class_token=False)).eval()
    with pytest.raises(UsageError, match=r"class_token=false\)\. Type pooling=mean-std-change@1 or"):
        pooled("class-token@1", raw_images(48), model)
    for name in set(NAMES) - {"class-token@1"}:
        assert pooled(name, raw_images(48), model).isfinite().all()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["pooling=frequency"], "'frequency-stacked@1'"),
        (["pooling=3"], "expected str"),
        (["pooling=class-token", "encoder.class_token=false"], "Type pooling=mean-std-change@1"),
    ],
)
def test_a_grid_that_cannot_be_pooled_is_refused_before_anything_is_spent(
    typed: list[str], answer: str, tmp_path: Path, capsys: Captured
) -> None:
    grid = ["comparison=quick", "comparison.sources=[noise]", "comparison.controls=[]", "dry=true"]
    place = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "results")]
    assert cli.main(["compare", *grid, *place, *typed]) == 2
    assert answer in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_comparison_can_set_the_pooling_and_the_user_can_set_another() -> None:
    grid = comparison.read(configure(["comparison=quick"]))
    grid = replace(grid, overrides=(*grid.overrides, "pooling=patch-mean"))
    assert comparison.settings(grid, []).pooling == "patch-mean@1"
    assert comparison.settings(grid, ["pooling=class-token@1"]).pooling == "class-token@1"


# ---------------------------------------------------------------------------------------------------
# Identity


def test_embeddings_of_two_poolings_are_cached_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tiny_runs.machine()

    def embed(name: str) -> Tensor:
        clips = views(Tones(), trained(), machine, tmp_path, ["clip"], name)["clip"]
        assert isinstance(clips, Tensor)
        return clips

    made = {name: embed(name) for name in NAMES}
    sizes = {name: table.shape[1] for name, table in made.items()}
    assert list(sizes.values()) == [3 * BANDS * WIDTH, BANDS * WIDTH, WIDTH, WIDTH]
    assert len(list((tmp_path / "embeddings").glob("*.npy"))) == len(NAMES)
    monkeypatch.setattr(viewing, "clip_views", None)  # computing again would fail
    for name in NAMES:
        assert torch.equal(embed(name), made[name])


def test_two_poolings_of_one_run_are_two_rows_and_skipped_when_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, machine, cache = tiny_runs.run(tmp_path), tiny_runs.machine(), tmp_path / "cache"
    names = (POOLING, "class-token@1")
    for name in names:
        done = evaluate(run, [Tones()], ["knn@1"], machine, cache, pooling=name)
        assert (done.measured, done.already) == (1, 0)
    assert [row.pooling for row in done.rows] == list(names)
    assert [row.config["pooling"] for row in done.rows] == list(names)
    files = [predictions_of(row, run / "predictions").name for row in done.rows]
    assert files == ["tones.knn@1.64.npz", "tones.class-token@1.knn@1.64.npz"]
    assert sorted(path.name for path in (run / "predictions").iterdir()) == sorted(files)
    said = evaluation.summary(done.rows).splitlines()
    assert ["on class-token@1" in line for line in said] == [False, True]
    monkeypatch.setattr(evaluation, "probe_task", None)
    for name in names:
        done = evaluate(run, [Tones()], ["knn@1"], machine, cache, pooling=name)
        assert (done.measured, done.already) == (0, 1)


@dataclass(kw_only=True)
class Onsets(Tones, name="onsets"):
    """The same clips as an event task."""

    kind: ClassVar[Literal["events"]] = "events"


def test_rows_of_features_that_are_not_pooled_keep_the_default() -> None:
    asked = "class-token@1"
    network = tiny_runs.experiment("encoder.class_token=false")
    assert poolings(network, [Onsets()], asked) == {"onsets": POOLING}
    with pytest.raises(UsageError, match="class_token=false"):
        poolings(network, [Tones()], asked)
    assert poolings(tiny_runs.experiment(), [Onsets(), Tones()], asked)["tones"] == asked
    control = tiny_runs.experiment("control=mel_statistics")
    assert poolings(control, [Tones()], asked) == {"tones": POOLING}


def test_a_row_that_names_no_pooling_has_the_default(tmp_path: Path) -> None:
    """Rows that were written before there were poolings keep their meaning."""
    (row, *_) = write_results(tmp_path, replace(SMALL, tasks=("toy_pitch",)))
    path = tmp_path / "rows" / f"{row.run_id}.jsonl"
    path.write_text(re.sub(r'"pooling": "[^"]*", ', "", path.read_text()))
    assert "pooling" not in path.read_text()
    assert {found.pooling for found in read_rows(path)} == {POOLING}


def unsaved(figure: Figure) -> dict[str, bytes]:
    """A figure that is drawn but not written, which is what takes long."""
    pyplot.close(figure)
    return {"svg": b""}


def pooled_otherwise(results: Path, rows: list[Row], name: str) -> None:
    """Add the same answers under another pooling, as if it had given them."""
    for row in rows:
        other = replace(row, pooling=name)
        folder = results / "predictions" / row.run_id
        shutil.copyfile(predictions_of(row, folder), predictions_of(other, folder))
        add_rows(results / "rows" / f"{row.run_id}.jsonl", [other])


def test_poolings_stand_in_tables_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "saved", unsaved)
    plan = replace(SMALL, tasks=("esc50", "toy_pitch"), probes=("linear@1",), checkpoints=(5_000,))
    rows = write_results(tmp_path, plan)
    pooled_otherwise(tmp_path, [r for r in rows if r.source == "audiopg"], "class-token@1")
    pooled_otherwise(tmp_path, [r for r in rows if r.source != "mel_statistics"], "patch-mean@1")
    assert verify(tmp_path).passed
    found = {
        table.group.pooling: {line.label for line in table.lines}
        for table in summary_of(tmp_path)
        if table.group.task == "esc50"
    }
    everyone = {*plan.sources, "untrained", "noise", "mel_statistics"}
    assert found[POOLING] == found["patch-mean@1"] == everyone
    assert found["class-token@1"] == {"audiopg", "mel_statistics"}  # untrained: of other poolings
    written = render(tmp_path)
    names = [path.name for path in (*written.tables, *written.plots)]
    assert "esc50.linear@1.accuracy.nano.random.mae.20000.csv" in names
    for name in ("class_token@1", "patch_mean@1"):
        assert f"esc50.linear@1_on_{name}.accuracy.nano.random.mae.20000.csv" in names
        assert f"overview.linear@1_on_{name}.nano.random.mae.20000.csv" in names
        assert f"curves.linear@1_on_{name}.nano.random.mae.20000.svg" in names
    assert "esc50, linear@1 on patch-mean@1, accuracy (%)" in written.page.read_text()
