"""An encoder taken away says the same as in its run: for HEAR's tools, for timm, for a hub.

.venv/bin/python -m pytest tests/test_export.py
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import tiny_runs
import torch
from tone_tasks import Tones
from torch import Tensor

import suite
from generators.drawer import UsageError
from suite import checkpoint, cli, hear_api
from suite.evaluate import evaluate
from suite.experiment import experiment_from
from suite.export import Wanted, export
from suite.foreign import load_foreign
from suite.health import check
from suite.judged import load as load_run
from suite.rows import POOLING
from suite.views import views

MACHINE = tiny_runs.machine()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    return tiny_runs.run(place)


def wanted(run: Path, *, task: bool = False, pooling: str = POOLING) -> Wanted:
    cache = run.parent.parent / "cache"
    return Wanted(run=run, task=Tones() if task else None, pooling=pooling, cache=cache)


def sounds(count: int = 3, seconds: float = 2.5) -> Tensor:
    drawn = torch.rand(count, round(16_000 * seconds), generator=torch.Generator().manual_seed(0))
    return drawn * 2 - 1


# ---------------------------------------------------------------------------------------------------
# HEAR's calls


def test_a_run_behind_hears_calls_says_what_its_evaluation_heard(run: Path, place: Path) -> None:
    """With a task's statistics, scenes are the embeddings of that task's rows."""
    out = export(wanted(run, task=True), "hear", place / "heard")
    values, _ = checkpoint.read_experiment(run)
    trained = load_run(run, experiment_from(values), MACHINE, None)
    task = Tones()
    expected = views(task, trained, MACHINE, place / "cache", ["clip"])["clip"]
    assert isinstance(expected, torch.Tensor)
    model = suite.load(out)
    for position in (0, 5):
        samples, rate = task.waveform(position)
        assert rate == model.sample_rate
        rounded = np.round(samples * 32767) / 32767  # as decoded sounds are stored
        scene = hear_api.get_scene_embeddings(torch.from_numpy(rounded)[None].float(), model)
        np.testing.assert_allclose(scene[0].numpy(), expected[position].numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean-std-change", "class-token"])
def test_an_exported_run_is_a_healthy_hear_module(run: Path, place: Path, pooling: str) -> None:
    out = export(wanted(run, task=True, pooling=pooling), "hear", place / pooling)
    found = check(load_foreign(f"suite.hear_api:{out}"), MACHINE)
    faults = [finding.detail for finding in found.findings if finding.verdict != "ok"]
    assert faults[1:] == ["a hop of 160.0 ms; HEAR advises 50 ms at most"]
    assert faults[0].startswith("2 s of silence behind 2 s of noise")  # a transformer attends to it


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.07, 4.0, 7.3])
def test_timestamps_are_even_and_within_the_sound(run: Path, place: Path, seconds: float) -> None:
    model = suite.load(export(wanted(run, task=True), "hear", place / "timed"))
    steps, times = model.timestamps(sounds(2, seconds))
    assert steps.shape == (2, times.shape[1], model.timestamp_embedding_size)
    assert times[0].tolist() == pytest.approx([75.0 + 160.0 * i for i in range(times.shape[1])])
    assert times[0, -1] <= max(75.0, 1000 * seconds) < times[0, -1] + 320.0


def test_without_a_task_the_source_s_statistics_stand_in_and_it_is_said(run: Path) -> None:
    with pytest.warns(UserWarning, match="standardised by the statistics of its source"):
        model = suite.load(run)
    frontend = checkpoint.read_json(run / checkpoint.FRONTEND)
    assert (model.frontend.mean, model.frontend.std) == (frontend["mean"], frontend["std"])


def test_an_export_is_replaced_whole_and_leaves_no_part(run: Path, place: Path) -> None:
    out = export(wanted(run, task=True), "timm", place / "again")
    (out / "old").touch()
    export(wanted(run, task=True), "hear", out)
    assert not (out / "old").exists()
    assert not list(place.glob("again.*"))
    assert {path.name for path in out.rglob("*") if path.is_file()} == {
        *("experiment.yaml", "DONE", "export.json", "weights.safetensors", "frontend.json")
    }


def test_what_is_no_export_is_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is no export of ours"):
        export(wanted(run, task=True), "hear", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


# ---------------------------------------------------------------------------------------------------
# timm


@pytest.mark.parametrize(
    "typed", [[], ["encoder.class_token=false"], ["encoder.key_bias=false"], ["scale.patch=[80,4]"]]
)
def test_timm_computes_the_same_tokens(tmp_path: Path, typed: list[str]) -> None:
    """In its own order: band by band where ours is step by step."""
    run = tiny_runs.run(tmp_path, "training.precision=float32", *typed)
    out = export(wanted(run, task=True), "timm", tmp_path / "out")
    theirs = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    values, _ = checkpoint.read_experiment(run)
    ours = load_run(run, experiment_from(values), MACHINE, None).encoder
    assert ours is not None
    images = torch.randn(2, 80, 208, generator=torch.Generator().manual_seed(0))
    steps, bands = ours.grid(images)
    with torch.no_grad():
        tokens, said = ours.tokens(images), theirs.forward_features(images[:, None])
    first = int(ours.class_token is not None)
    by_step = said[:, first:].unflatten(1, (bands, steps)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(by_step, tokens[:, first:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said[:, :first], tokens[:, :first], rtol=1e-4, atol=1e-5)
    assert json.loads((out / "config.json").read_text())["audio"]["bands"] == 80


def test_what_timm_cannot_compute_is_refused_with_what_can(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "objective=eat", "objective.decoder_groups=4")
    with pytest.raises(UsageError, match="to=hear"):
        export(wanted(run, task=True), "timm", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
    assert export(wanted(run, task=True), "hear", tmp_path / "out").is_dir()


# ---------------------------------------------------------------------------------------------------
# A hub


def test_a_model_card_is_filled_from_the_run_s_rows(run: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(run, tmp_path / "runs" / run.name))
    empty = export(wanted(mine, task=True), "hub", tmp_path / "empty")
    assert "None were measured yet" in (empty / "README.md").read_text()
    done = evaluate(mine, [Tones()], ["knn@1"], MACHINE, tmp_path / "cache")
    card = (export(wanted(mine, task=True), "hub", tmp_path / "out") / "README.md").read_text()
    mean = 100 * sum(row.score for row in done.rows) / len(done.rows)
    assert f"| tones | knn@1 | accuracy | {mean:.1f} | {len(done.rows)} | 12 |" in card
    assert run.name in card
    assert "sourcebench pretrain" in card
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a task's statistics: nothing stands in
        assert suite.load(tmp_path / "out").scenes(sounds()).isfinite().all()


# ---------------------------------------------------------------------------------------------------
# The door


def test_it_is_taken_away_from_the_door(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"run={run}", f"paths.runs={run.parent}", f"paths.cache={run.parent.parent / 'cache'}"]
    assert cli.main(["export", *words, "to=hear", "statistics_of=toy_count"]) == cli.DONE
    out = run.parent / "exports" / f"{run.name}-hear"
    assert f"hear-validator suite.hear_api --model {out}" in capsys.readouterr().out
    assert json.loads((out / "export.json").read_text())["statistics_of"] == "toy_count"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([], "what, and where to?"),
        (["run=nowhere", "to=tflite"], "to=hear|timm|hub"),
        (["run=nowhere", "to=hear"], "nowhere is not a run"),
        (["run=RUN", "to=hear", "statistics_of=esc51"], "esc50"),
        (["run=RUN", "to=hear", "pooling=class"], "class-token"),
    ],
)
def test_what_cannot_be_exported_is_said(
    run: Path, capsys: pytest.CaptureFixture[str], typed: list[str], words: str
) -> None:
    assert cli.main(["export", *(word.replace("RUN", str(run)) for word in typed)]) != cli.DONE
    assert words in capsys.readouterr().err


def test_untrained_weights_need_a_task_s_statistics(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "control=untrained")
    with pytest.raises(UsageError, match="statistics_of=TASK"):
        suite.load(run)
    assert suite.load(export(wanted(run, task=True), "hear", tmp_path / "out")).sample_rate == 16_000
