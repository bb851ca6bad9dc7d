"""Encoders that are not ours: judged as ours are, and described as they behave.

.venv/bin/python -m pytest tests/test_foreign.py
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from beep_task import Beeps
from tone_tasks import Bells, Tones

from generators.drawer import BadData, UsageError
from suite import cli, hear_naive
from suite.decode import decode
from suite.evaluate import evaluate, judge
from suite.foreign import Foreign, load_foreign
from suite.health import Health, check
from suite.judged import Judged, health_lines, judged_module
from suite.rows import read_rows

MACHINE = tiny_runs.machine()
HEARING = """
def load_model(path=""):
    return open(path)
def get_scene_embeddings(audio, model): ...
def get_timestamp_embeddings(audio, model): ...
"""
# What the health check must say of a flaw: the check, its verdict, and words of its sentence.
FLAWS = {
    "random": ("determinism", "error", "the same sounds twice differ"),
    "batch": ("batch", "error", "a sound alone and in a batch differ by"),
    "silence": ("extremes", "error", "NaN or infinity for silence"),
    "double": ("types", "error", "scene embeddings are torch.float64; expected float32"),
    "seconds": ("timestamps", "error", "are they seconds? HEAR wants milliseconds"),
    "drift": ("timestamps", "error", "lies beyond the sound"),
    "uneven": ("timestamps", "error", "off an even grid by"),
    "offset": ("half precision", "warning", "bfloat16 autocast changes scenes by"),
    "overflow": ("half precision", "warning", "get_scene_embeddings returned NaN or infinity"),
    "array": ("half precision", "warning", "bfloat16 autocast is not survived (TypeError: "),
    "size": ("sizes", "error", "but its model promises (2, 54, 6)"),
    "short": ("shortest sound", "warning", "0.5 s is answered, 0.25 s is not (RuntimeError)"),
    "training": ("types", "warning", "the model is in training mode"),
}


def ears(flaw: str = "") -> Foreign:
    return load_foreign(
        "foreign_ears:unfit" if flaw == "training" else f"foreign_ears:{flaw}".rstrip(":")
    )


def judged(place: Path, where: str = "foreign_ears") -> Judged:
    return judged_module(where, place / "runs", MACHINE, "sourcebench evaluate ...")


# ---------------------------------------------------------------------------------------------------
# The health check


def test_an_encoder_that_keeps_its_promises_is_healthy() -> None:
    found = check(ears(), MACHINE)
    assert [finding.detail for finding in found.findings if finding.verdict != "ok"] == []
    assert found.verdict == "health check: all checks passed"
    assert any("8000 Hz, scenes of 6, steps of 6, 18 parameters" in line for line in found.lines)


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_named_by_the_check_that_is_for_it(flaw: str) -> None:
    name, verdict, words = FLAWS[flaw]
    found = check(ears(flaw), MACHINE)
    faults = [finding for finding in found.findings if finding.verdict != "ok"]
    assert (name, verdict) in [(finding.check, finding.verdict) for finding in faults]
    assert words in " ".join(finding.detail for finding in faults if finding.check == name)
    assert words in found.verdict


def test_half_precision_is_told_and_changes_nothing_where_no_torch_is() -> None:
    """Of matrix products in numpy autocast knows nothing; of a linear layer it rounds the answer."""
    words = "bfloat16 autocast changes scenes by "
    drifts = [
        float(found.detail.removeprefix(words))
        for flaw in ("numpy", "")
        for found in check(ears(flaw), MACHINE).findings
        if found.check == "half precision"
    ]
    assert drifts[0] == 0.0
    assert 1e-4 < drifts[1] < 0.02


def test_a_check_that_a_module_breaks_does_not_stop_the_others() -> None:
    found = check(ears("size"), MACHINE)
    assert {finding.check for finding in found.findings} >= {"determinism", "extremes", "cost"}


# ---------------------------------------------------------------------------------------------------
# What is typed


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("no_such_ears", "no module 'no_such_ears'"),
        ("json", "has no load_model, get_scene_embeddings, get_timestamp_embeddings"),
        ("no_such.ears:load_model", "no module 'no_such'"),
    ],
)
def test_what_is_no_hear_module_is_refused_with_what_is_missing(where: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_foreign(where)


@pytest.mark.parametrize(
    ("where", "text", "words"),
    [
        ("", "", "which module"),
        ("wrong_ears", "def load_model(:", "importing wrong_ears raised SyntaxError"),
        ("lost_ears:lost.pt", HEARING, r"load_model\('lost.pt'\) raised FileNotFoundError"),
    ],
)
def test_a_module_that_does_not_load_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, text: str, words: str
) -> None:
    (tmp_path / f"{where.partition(':')[0]}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=words):
        load_foreign(where)


def test_a_loader_and_its_weights_are_told_apart() -> None:
    assert ears().model.flaw == ""
    assert load_foreign("foreign_ears:load_model").model.flaw == ""
    assert load_foreign("foreign_ears:load_model:batch").model.flaw == "batch"
    assert load_foreign("foreign_ears:batch").model.flaw == "batch"
    assert ears().fingerprint == ears().fingerprint != ears("batch").fingerprint


def test_a_run_and_a_foreign_encoder_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["run=runs/x", "encoder=foreign_ears"], ["encoder=a", "encoder=b"]):
        assert cli.main(["evaluate", *words]) == cli.USAGE
        assert "which encoder?" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------
# It is judged by the same path


def test_its_rows_are_as_those_of_a_run_and_say_its_health(tmp_path: Path) -> None:
    """On clips and on events; the data hash is that of a run's rows, whatever the sample rate."""
    done = judge(judged(tmp_path), [Tones(), Beeps()], ["linear@1", "knn@1"], MACHINE, tmp_path / "c")
    assert done.measured == 4
    ours = evaluate(tiny_runs.run(tmp_path), [Tones()], ["knn@1"], MACHINE, tmp_path / "c").rows
    for row in done.rows:
        assert (row.source, row.scale, row.control, row.samples_seen) == ("foreign_ears", "-", True, 0)
        assert "health check: all checks passed" in row.notes
        assert row.config["health"][0]["check"] == "sizes"
        assert row.parameters == 18
    assert {row.data_hash for row in done.rows if row.task == "tones"} == {ours[0].data_hash}
    again = judge(judged(tmp_path), [Tones(), Beeps()], ["linear@1", "knn@1"], MACHINE, tmp_path / "c")
    assert (again.measured, again.already, again.rows) == (0, 4, done.rows)


def test_the_health_check_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = judged(tmp_path)
    monkeypatch.setattr("suite.health.check", lambda *_: Health(()))
    assert judged(tmp_path).notes == first.notes
    assert health_lines(first) == health_lines(judged(tmp_path)) != []


def test_nan_of_one_clip_stops_the_task_and_names_the_module(tmp_path: Path) -> None:
    asked = [Tones()]
    decoded = decode(asked[0], tmp_path / "c", 8000)
    assert decoded.lengths.min() > 0
    broken = ears("silence")
    with pytest.raises(BadData, match=r"foreign_ears:silence: .* NaN or infinity"):
        broken.scenes(torch.zeros(1, 8000))


def test_timestamps_that_are_not_even_cannot_judge_events(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"are not 20\.\d\d ms apart"):
        judge(judged(tmp_path, "foreign_ears:uneven"), [Beeps()], ["knn@1"], MACHINE, tmp_path / "c")


def test_a_pooling_is_not_asked_of_a_foreign_encoder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="makes its clips' embeddings itself"):
        judge(judged(tmp_path), [Tones()], ["knn@1"], MACHINE, tmp_path / "c", pooling="class-token")


def test_it_is_judged_from_the_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "encoder=foreign_ears", "tasks=[toy_count]", "probes=[knn]", "threads=1"]
    assert cli.main(words) == cli.DONE
    said = capsys.readouterr().out
    assert "determinism" in said
    assert "toy_count" in said
    (folder,) = (tmp_path / "runs").glob("foreign_ears-*")
    (row,) = read_rows(folder / "rows.jsonl")
    assert shlex.split(row.command) == ["sourcebench", *words]
    assert json.loads((folder / "encoder.json").read_text())["where"] == "foreign_ears"


# ---------------------------------------------------------------------------------------------------
# HEAR's naive baseline


def test_the_naive_baseline_is_what_the_specification_says() -> None:
    """One step by hand: a window of 4096, its power in 256 mel bands, the log, the projection."""
    model = hear_naive.load_model()
    audio = torch.rand(2, 44_100, generator=torch.Generator().manual_seed(1)) * 2 - 1
    steps, times = hear_naive.get_timestamp_embeddings(audio, model)
    assert steps.shape == (2, 21, 4096)
    assert times[0].tolist() == pytest.approx(np.arange(21) * 50.0)
    centre = 5 * 2205  # of the step at 250 ms
    window = audio[1, centre - 2048 : centre + 2048].double().numpy() * np.hanning(4097)[:-1]
    power = np.abs(np.fft.rfft(window)) ** 2
    bands = np.log(power @ model.filters.double().numpy() + 1e-4)
    expected = bands @ model.projection.double().numpy()
    np.testing.assert_allclose(steps[1, 5].numpy(), expected, rtol=1e-3)
    scenes = hear_naive.get_scene_embeddings(audio, model)
    torch.testing.assert_close(scenes, steps[:, ::5].mean(1), rtol=1e-4, atol=1e-4)
    assert model.projection.min() >= 0
    assert model.projection.max() < 1 / 16
    assert check(load_foreign("suite.hear_naive"), MACHINE).verdict.endswith("all checks passed")


def test_a_task_of_several_lengths_is_embedded_clip_by_clip(tmp_path: Path) -> None:
    """Batches hold clips of one length: the same as one by one."""
    asked = Bells()
    done = judge(judged(tmp_path), [asked], ["knn@1"], MACHINE, tmp_path / "c")
    assert done.measured == 1
    (path,) = (tmp_path / "c" / "embeddings").glob("*.npy")
    found, decoded, foreign = np.load(path), decode(asked, tmp_path / "c", 8000), ears()
    for position in range(3):
        alone = foreign.scenes(decoded.waveforms(np.array([position])))
        np.testing.assert_allclose(found[position], alone[0].numpy(), rtol=1e-5, atol=1e-6)
