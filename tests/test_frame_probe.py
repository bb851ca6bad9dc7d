"""Event tasks: frames, their labels, post-processing chosen on valid, and rows that verify.

.venv/bin/python -m pytest tests/test_frame_probe.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from beep_task import Beeps, beeps
from tone_tasks import FRONTEND, encoder, raw_images, trained

from generators.drawer import UsageError
from suite import frames as framing
from suite import probes
from suite.checkpoint import Trained
from suite.chunks import mel_steps, time_steps
from suite.evaluate import evaluate
from suite.frame_probe import frame_targets, probe_events, task_events
from suite.frames import Frames, embed_frames
from suite.frontend import FrontEnd
from suite.probes import networks, side_by_side
from suite.probes.base import Examples
from suite.report import read_results, summaries
from suite.rows import EventPredictions, predictions_path, read_predictions, write_predictions
from suite.verify import verify
from suite.views import reads_of

CONTROL = Trained(None, FrontEnd(bands=64), "mel_statistics@1")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return embed_frames(Beeps(), CONTROL, tiny_runs.machine(), tmp_path_factory.mktemp("cache"))


def test_every_step_is_a_frame_with_its_centre(frames: Frames) -> None:
    assert frames.counts.tolist() == [51] * 12  # 801 log-mel frames of 10 ms, in sixteens
    assert frames.vectors.shape == (12 * 51, 4 * 64)
    assert (frames.first, frames.hop) == pytest.approx((0.075, 0.16))
    assert frames.rows(np.array([2, 0])).tolist() == [*range(102, 153), *range(51)]


def test_frames_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = tiny_runs.machine()
    first = embed_frames(Beeps(), trained(), machine, tmp_path)
    assert first.vectors.shape == (12 * 51, 5 * 16)
    monkeypatch.setattr(framing, "time_steps", None)  # computing again would fail
    assert np.array_equal(embed_frames(Beeps(), trained(), machine, tmp_path).vectors, first.vectors)
    assert not list(tmp_path.rglob("*.part"))


def test_an_encoders_frames_are_its_time_steps() -> None:
    raw, model = raw_images(96), encoder()
    images = FRONTEND.standardise(raw)
    chunks = [model.tokens(images[:, :, first : first + 48])[:, 1:] for first in (0, 48)]
    expected = torch.cat(chunks, dim=1).view(5, 6, 5 * 16)  # five band steps side by side
    measured = time_steps(model, FRONTEND, raw, tiny_runs.machine())
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-5)


def test_the_control_summarises_sixteen_frames_at_a_time() -> None:
    raw = raw_images(48)
    steps = mel_steps(FRONTEND, raw)
    assert steps.shape == (5, 3, 4 * 80)
    torch.testing.assert_close(steps[:, 1, :80], raw[:, :, 16:32].mean(dim=2))


def test_a_frame_is_labelled_where_its_centre_lies_in_the_event(frames: Frames) -> None:
    targets = frame_targets(task_events(Beeps()), frames, 2).reshape(12, 51, 2)
    times = frames.times()
    for position, label, onset, offset in beeps().itertuples(index=False):
        inside = (times >= onset) & (times <= offset)
        assert (targets[int(position), inside, int(label)] == 1.0).all()
    assert 0.4 < targets.sum(axis=2).mean() < 0.6  # four beeps of about a second in eight


@pytest.mark.parametrize("name", ["linear@1", "knn@1"])
def test_events_are_found_and_the_choice_is_made_on_valid(frames: Frames, name: str) -> None:
    answers, selections = probe_events(Beeps(), name, frames)
    assert answers.clip.tolist() == ["09", "10", "11"]
    assert len(answers.scores) == answers.frames.sum() == 3 * 51
    assert len(answers.event_clip) == 12
    chosen = selections["test"]
    assert (chosen["median_ms"], chosen["minimum_ms"]) in Beeps.post_processing
    assert chosen["valid_onset_f1_200ms"] > 0.9
    assert set(answers.minimum_ms) == {chosen["minimum_ms"]}


@pytest.mark.parametrize(
    "name",
    [n for n in probes.names() if reads_of(n) == "clip" and not probes.create(n).metric],
)
def test_held_out_answers_do_not_know_the_labels_of_valid(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "WIDTH", 64)
    monkeypatch.setattr(side_by_side, "EPOCHS", 90)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(80, 6, generator=generator)
    targets = (features[:, :3] > 0.0).float()
    train = Examples(features[:50], targets[:50], 3)
    agreement = []
    for shown in (targets[50:], targets[50:].flip(0)):
        probe = probes.create(name)
        probe.fit(train, Examples(features[50:], shown, 3))
        assert probe.held_out().shape == (30, 3)
        answered = probe.held_out() >= probe.threshold
        agreement.append(float((answered == shown.bool()).float().mean()))
    assert agreement[0] > 0.75
    assert agreement[1] < 0.7  # chance is 0.5 with a deviation of 0.05, and the best of many is chosen


def test_a_probe_without_held_out_answers_is_refused() -> None:
    from suite.probes.base import Probe

    with pytest.raises(UsageError, match="linear@1"):
        Probe.held_out(probes.create("knn@1"))


def test_a_control_run_is_scored_reported_and_verified(tmp_path: Path) -> None:
    run = tiny_runs.run(tmp_path, "control=mel_statistics")
    done = evaluate(run, [Beeps()], ["linear@1"], tiny_runs.machine(), tmp_path / "cache")
    (row,) = done.rows
    assert (row.metric, row.n_test) == ("onset_f1_200ms", 3)
    assert row.score > 0.9
    assert row.others["segment_error_rate_1s"] < 0.2
    assert row.config["pooling"] == "patch-steps@1"

    results = tmp_path / "results"
    (results / "rows").mkdir(parents=True)
    (results / "rows" / f"{row.run_id}.jsonl").write_bytes((run / "rows.jsonl").read_bytes())
    stored = read_predictions(predictions_path(run / "predictions", "beeps", "linear@1", 0))
    assert isinstance(stored, EventPredictions)
    path = predictions_path(results / "predictions" / row.run_id, "beeps", "linear@1", 0)
    write_predictions(path, stored)
    assert verify(results).passed

    folder = results / "predictions"
    (table,) = summaries.summarise(read_results(results), lambda run_id: folder / run_id)
    interval = table.lines[0].over_clips
    assert interval is not None
    assert interval.low <= row.score <= interval.high

    write_predictions(path, replace(stored, event_onset=stored.event_onset - 0.5))
    assert [finding.kind for finding in verify(results).findings] == ["score"]
    write_predictions(path, replace(stored, frames=stored.frames + 1))
    assert [finding.kind for finding in verify(results).findings] == ["unreadable"]


def test_silence_is_said_where_no_event_is_emitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Beeps, "post_processing", ((250.0, 60_000.0),))  # nothing lasts a minute
    run = tiny_runs.run(tmp_path, "control=mel_statistics")
    (row,) = evaluate(run, [Beeps()], ["linear@1"], tiny_runs.machine(), tmp_path / "cache").rows
    assert row.score == 0.0
    assert any("no event was emitted" in note for note in row.notes)
