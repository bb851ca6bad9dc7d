"""Reconstructions are the run's own predictions, in pixels, beside what is there.

.venv/bin/python -m pytest tests/test_reconstruction.py
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from matplotlib import image
from matplotlib.figure import Figure
from tone_tasks import Tones
from torch import Tensor

import generators
import tasks
from suite import checkpoint, cli
from suite.analysis import reconstruction
from suite.analysis.reconstruction import next_mask, pixel_objective, sheets, with_hidden
from suite.analysis.reconstruction_sheet import Sheet, draw, saved
from suite.analysis.samples import loudest, own_samples, task_clips
from suite.checkpoint import Cost
from suite.experiment import Experiment, full
from suite.frontend import FrontEnd
from suite.masking.base import Mask
from suite.objectives.base import Batch, PixelObjective
from suite.stream import generator_of

DECODERS = {
    "global": ("objective.decoder_attention=global",),
    "windowed": ("objective.decoder_attention=windowed",),
    "msm_mae": ("objective.decoder_key_bias=false", "objective.decoder_positions=1d"),
}
every_decoder = pytest.mark.parametrize("decoder", DECODERS)
both_targets = pytest.mark.parametrize("normalise", [True, False])


@cache
def tiny(*words: str) -> Experiment:
    return tiny_runs.experiment(*words)


def objective_of(decoder: str, normalise: bool) -> PixelObjective:
    torch.manual_seed(0)
    words = (*DECODERS[decoder], f"objective.normalise_pixels={normalise}")
    return pixel_objective(Path("run"), tiny(*words)).eval()


def inputs() -> Tensor:
    return 3.0 * torch.randn(2, 80, 208, generator=generator_of("inputs")) + 1.0


def masked() -> Mask:
    return tiny().build_masking().sample(2, (13, 5), generator_of("mask"))


def place(token: int) -> tuple[slice, slice]:
    """Bands and frames of patch ``token`` in an image of 5 x 13 patches."""
    step, band = divmod(token, 5)
    return slice(16 * band, 16 * band + 16), slice(16 * step, 16 * step + 16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with weights kept at its half."""
    folder = tmp_path_factory.mktemp("mae")
    assert cli.main(["pretrain", *tiny_runs.words(folder), "curve=[0.5]"]) == 0
    (found,) = (folder / "runs").iterdir()
    return found


# ---------------------------------------------------------------------------------------------------
# Pixels


@every_decoder
@both_targets
def test_a_prediction_that_equals_the_target_is_the_input(decoder: str, normalise: bool) -> None:
    objective, images, mask = objective_of(decoder, normalise), inputs(), masked()
    targets = objective.targets(images, mask)
    assert torch.allclose(targets.mean(dim=2), torch.zeros(()), atol=1e-5) is normalise
    pixels = objective.pixels(targets, images, mask)
    assert torch.allclose(with_hidden(pixels, objective.encoder, images, mask), images, atol=1e-5)


def test_hidden_patches_come_from_the_prediction_and_visible_ones_from_the_input() -> None:
    encoder, images, mask = tiny().build_encoder(), inputs(), masked()
    before = images.clone()
    pixels = torch.randn(*mask.hide.shape, 256, generator=generator_of("pixels"))
    made = with_hidden(pixels, encoder, images, mask)
    for row in range(2):
        for number, token in enumerate(mask.hide[row].tolist()):
            assert torch.equal(made[row][place(token)], pixels[row, number].view(16, 16))
        for token in mask.keep[row].tolist():
            assert torch.equal(made[row][place(token)], images[row][place(token)])
    assert torch.equal(images, before)


@every_decoder
@both_targets
def test_a_reconstruction_is_what_the_objective_predicts(decoder: str, normalise: bool) -> None:
    objective, images, mask = objective_of(decoder, normalise), inputs(), masked()
    made = reconstruction.reconstruction(objective, images, mask, tiny_runs.machine())
    predicted = objective.reconstruct(images, mask)
    token = int(mask.hide[1, 7])
    truth = images[1][place(token)]
    expected = predicted[1, 7].view(16, 16)
    if normalise:
        expected = expected * (truth.var() + 1e-6).sqrt() + truth.mean()
    assert torch.allclose(made.images[1][place(token)], expected, atol=1e-4)
    loss = objective.losses(Batch(images, mask))["loss"].item()
    assert made.error == pytest.approx(loss, rel=1e-6)
    assert made.flat == pytest.approx(objective.targets(images, mask).square().mean().item())


def test_raw_images_are_what_was_standardised() -> None:
    frontend = FrontEnd(mean=-4.2, std=4.5, divisor=2.0)
    assert torch.allclose(frontend.raw(frontend.standardise(inputs())), inputs(), atol=1e-5)


# ---------------------------------------------------------------------------------------------------
# Samples


@pytest.mark.parametrize(("pool", "first"), [("pool=16", 16), ("pool=null", 64)])
def test_samples_of_the_source_come_after_those_it_was_trained_on(
    tmp_path: Path, pool: str, first: int
) -> None:
    trained = tiny_runs.run(tmp_path, pool)
    experiment = tiny_runs.experiment(pool)
    samples = own_samples(trained, experiment, 3, tmp_path, tmp_path / "cache")
    assert samples.said == f"samples {first} to {first + 2} of noise, never trained on"
    source = experiment.build_source(tmp_path, tmp_path / "cache")
    whole = source.images(range(first, first + 3), experiment.frontend)
    for raw, shown in zip(whole, samples.frontend.raw(samples.images), strict=True):
        windows = raw.unfold(1, 208, 1).transpose(0, 1)  # (places, F, frames)
        assert (windows - shown).abs().amax(dim=(1, 2)).min() < 1e-4, "no crop of the sample"
    assert abs(samples.images.mean().item()) < 0.2
    assert samples.images.std().item() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("size", "shown", "said"),
    [
        (12, 12, "samples 0 to 11 of noise, trained on: the source has no others"),
        (16, 16, "samples 0 to 15 of noise, trained on: the source has no others"),
        (19, 3, "samples 16 to 18 of noise, never trained on"),
    ],
)
def test_a_source_without_enough_others_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, shown: int, said: str
) -> None:
    finite = generators.create("noise", seconds=2.5, size=size)
    monkeypatch.setattr(Experiment, "build_source", lambda *_given: finite)
    samples = own_samples(run, tiny(), 40, tmp_path, tmp_path)
    assert samples.said == said
    assert (
        len(samples.images) == len(samples.captions) == int(said.split()[3]) - int(said.split()[1]) + 1
    )


def test_pictures_are_standardised_as_in_training_where_sounds_have_fixed_numbers(
    tmp_path: Path,
) -> None:
    words = ("source=dead_leaves", "frontend.statistics=fixed", "frontend.mean=-4", "frontend.std=4")
    words = (*words, "pool=8", "scale.samples_seen=8")
    samples = own_samples(
        tiny_runs.run(tmp_path, *words), tiny_runs.experiment(*words), 4, tmp_path, tmp_path / "cache"
    )
    assert abs(samples.images.mean().item()) < 0.3
    assert samples.images.std().item() == pytest.approx(1.0, abs=0.3)


def test_clips_of_a_task_are_standardised_as_at_evaluation(run: Path, tmp_path: Path) -> None:
    samples = task_clips(run, Tones(), 4, tmp_path)
    assert samples.captions == ["00-0   low", "05-0   low", "10-1   middle", "15-2   high"]
    assert samples.images.shape == (4, 80, 208)
    own = FrontEnd(**checkpoint.read_json(run / checkpoint.FRONTEND))
    assert (samples.frontend.mean, samples.frontend.std) != (own.mean, own.std)


def test_the_loudest_part_of_a_clip_is_shown() -> None:
    raw = torch.full((80, 500), -15.9)
    raw[:, 300:320] = -2.0
    shown = loudest(raw, 208)
    assert shown.shape == (80, 208)
    assert (shown == -2.0).sum() == 80 * 20
    assert torch.equal(loudest(raw[:, :100], 208), raw[:, :100])


# ---------------------------------------------------------------------------------------------------
# The verb


def test_the_errors_that_are_said_are_the_objective_s_losses_at_every_kept_point(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "create", lambda name, **_fields: {"tones": Tones}[name]())
    words = [f"run={run}", "count=1", "tasks=[tones]", f"paths.cache={tmp_path}"]
    assert cli.main(["reconstruct", *words, *tiny_runs.HERE]) == 0
    said = capsys.readouterr().out
    experiment = tiny()
    objective = pixel_objective(run, experiment)
    every = (
        own_samples(run, experiment, 1, tmp_path, tmp_path),
        task_clips(run, Tones(), 1, tmp_path),
    )
    expected = []
    for samples in every:
        mask = next_mask(experiment, objective, samples, tiny_runs.machine())
        for point in (32, None):
            objective.load_state_dict(checkpoint.read_weights(run, point))
            loss = objective.losses(Batch(samples.images, mask))["loss"].item()
            expected.append((f"{point or 64}", f"{loss:.4f}"))
    assert re.findall(r"([\d,]+) samples seen: mean squared error ([\d.]+)", said) == expected
    assert len(set(expected)) == 4
    assert said.count("49 of 65 patches hidden (75 %, random)") == 2
    for name in ("noise", "tones"):
        for point in ("32", "64", "progress"):
            path = run / "reconstructions" / f"{name}.{point}"
            assert f"{path}.{{png,svg}}" in said
            assert image.imread(f"{path}.png").std() > 0.1
            assert Path(f"{path}.svg").read_text().startswith("<?xml")
    assert len(list((run / "reconstructions").iterdir())) == 12


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("objective=eat",), r"objective=eat \(Predict a running average's features.*no pixels"),
        (("objective=cat",), r"objective=cat .*no pixels"),
        (("objective=m2d",), r"objective=m2d .*no pixels"),
        (("control=untrained",), r"control 'untrained'"),
        (("control=mel_statistics",), r"control 'mel_statistics'"),
    ],
)
def test_a_run_that_predicts_no_pixels_is_refused_with_the_reason(
    words: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tiny_runs.experiment(*words)
    checkpoint.write_experiment(tmp_path, full(experiment), "sourcebench pretrain ...")
    checkpoint.finish(tmp_path, Cost())
    assert cli.main(["reconstruct", f"run={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert re.search(why, said)
    assert "objective=mae" in said
    assert not (tmp_path / "reconstructions").exists()


def test_what_is_not_there_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reconstruct"]) == 2
    assert "run=runs/<run_id>" in capsys.readouterr().err
    assert cli.main(["reconstruct", f"run={tmp_path}"]) == 3
    assert "is not a run" in capsys.readouterr().err
    checkpoint.write_experiment(tmp_path, full(tiny()), "sourcebench pretrain ...")
    assert cli.main(["reconstruct", f"run={tmp_path}"]) == 3
    assert "is not finished" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------
# The sheet


@pytest.fixture(scope="module")
def figures(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sheet]:
    """The sheets of the run, of two samples."""
    folder = tmp_path_factory.mktemp("sheets")
    experiment = tiny()
    objective = pixel_objective(run, experiment)
    samples = own_samples(run, experiment, 2, folder, folder)
    machine = tiny_runs.machine()
    mask = next_mask(experiment, objective, samples, machine)
    made = reconstruction.at_every_point(run, experiment, objective, samples, mask, machine)
    return sheets(experiment, objective, samples, mask, made)


def panels(figure: Figure) -> list[np.ndarray]:
    """What each panel shows, NaN where it is hatched, row by row."""
    found = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]
    return [np.ma.filled(array.astype(float), math.nan) for array in found if array is not None]


def test_a_sheet_shows_input_mask_reconstruction_and_error(figures: dict[str, Sheet]) -> None:
    assert list(figures) == ["32", "64", "progress"]
    shown = panels(draw(figures["64"]))
    assert len(shown) == 8
    for whole, covered, made, error in (shown[:4], shown[4:]):
        hidden = np.isnan(covered)
        assert hidden.sum() == 49 * 256
        np.testing.assert_array_equal(covered[~hidden], whole[~hidden])
        np.testing.assert_array_equal(made[~hidden], whole[~hidden])
        np.testing.assert_allclose(error, np.abs(made - whole), atol=1e-5)
        assert (error[hidden] > 0).mean() > 0.99
        assert not error[~hidden].any()


def test_all_sheets_of_a_run_have_one_scale_and_one_mask(figures: dict[str, Sheet]) -> None:
    assert figures["32"].worst == figures["64"].worst
    early, late, progress = (panels(draw(sheet)) for sheet in figures.values())
    np.testing.assert_array_equal(early[1], late[1])
    assert not np.array_equal(early[2], late[2])
    for drawn, expected in zip(progress[:4], [late[0], late[1], early[2], late[2]], strict=True):
        np.testing.assert_array_equal(drawn, expected)


def test_the_same_run_gives_the_same_bytes(figures: dict[str, Sheet]) -> None:
    assert saved(draw(figures["64"])) == saved(draw(figures["64"]))
