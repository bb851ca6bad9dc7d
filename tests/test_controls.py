"""The controls keep what they say they keep, and destroy the rest.

.venv/bin/python -m pytest tests/test_controls.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import generators
from generators.controls import permute_patches, randomise_phases
from generators.drawer import UsageError
from suite.configuration import configure, experiment_of
from suite.frontend import FrontEnd
from suite.pools import open_pool
from suite.stream import Stream

FRONTEND = FrontEnd(bands=24, frames=32)
SOUND = {"audiopg": {"seconds": 1.0}}  # 101 frames


# ---------------------------------------------------------------------------------------------------
# shuffled_patches


def blocks(image: np.ndarray, bands: int, frames: int) -> list[bytes]:
    """The whole patches of an image (F, T), as bytes, by rows."""
    rows, columns = image.shape[0] // bands, image.shape[1] // frames
    return [
        image[r * bands : (r + 1) * bands, c * frames : (c + 1) * frames].tobytes()
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize("of", ["audiopg", "dead_leaves"])
def test_every_patch_is_kept_and_lies_elsewhere(of: str) -> None:
    fields = {"audiopg": SOUND, "dead_leaves": {"dead_leaves": {"side": 32}}}[of]
    source = generators.create("shuffled_patches", of=fields, patch=(8, 6), height=24, width=50)
    plain = generators.create(
        of, **({"seconds": 1.0} if of == "audiopg" else {"side": 32, "height": 24, "width": 50})
    )
    shuffled, images = (
        source.images(range(6), FRONTEND).numpy(),
        plain.images(range(6), FRONTEND).numpy(),
    )
    moved = 0
    for after, before in zip(shuffled, images, strict=True):
        ours, theirs = blocks(after, 8, 6), blocks(before, 8, 6)
        assert sorted(ours) == sorted(theirs)
        moved += sum(a != b for a, b in zip(ours, theirs, strict=True))
        np.testing.assert_array_equal(
            after[:, 96 if of == "audiopg" else 48 :], before[:, 96 if of == "audiopg" else 48 :]
        )
    assert moved > 6 * len(ours) * 0.5


def test_a_permutation_is_what_numpy_does() -> None:
    images = torch.rand(2, 13, 17, generator=torch.Generator().manual_seed(0))
    order = torch.stack(
        [torch.randperm(12, generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
    )
    ours = permute_patches(images, order, (4, 4)).numpy()
    for image, places, made in zip(images.numpy(), order.tolist(), ours, strict=True):
        expected = image.copy()
        for to, source in enumerate(places):
            (r, c), (s, d) = divmod(to, 4), divmod(source, 4)
            expected[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = image[4 * s : 4 * s + 4, 4 * d : 4 * d + 4]
        np.testing.assert_array_equal(made, expected)


def test_orders_are_uniform_and_change_with_seed_and_index() -> None:
    fields = {"of": {"dead_leaves": {"side": 32}}, "patch": (12, 20), "height": 24, "width": 40}
    source = generators.create("shuffled_patches", **fields)
    plain = generators.create("dead_leaves", side=32, height=24, width=40)
    after, before = source.images(range(240), FRONTEND).numpy(), plain.batch(range(240)).numpy()
    landed = [blocks(a, 12, 20).index(blocks(b, 12, 20)[0]) for a, b in zip(after, before, strict=True)]
    counted = np.bincount(landed, minlength=4)
    assert ((counted - 60) ** 2 / 60).sum() < 16.3  # chi-squared of 3 degrees, p = 0.001
    other = generators.create("shuffled_patches", **fields, seed=1)
    assert not torch.equal(other.images([0], FRONTEND), source.images([0], FRONTEND))


def test_neighbours_are_strangers() -> None:
    """Shuffling breaks the correlation across the border of patches and keeps it inside."""
    source = generators.create(
        "shuffled_patches", of={"dead_leaves": {"side": 128}}, patch=(8, 8), height=64, width=64
    )
    images = source.images(range(40), FRONTEND).numpy()
    across = np.corrcoef(images[:, :, 7:63:8].ravel(), images[:, :, 8:64:8].ravel())[0, 1]
    inside = np.corrcoef(images[:, :, 3:64:8].ravel(), images[:, :, 4:64:8].ravel())[0, 1]
    assert inside > 0.8
    assert across < 0.6 * inside


def test_a_patch_larger_than_the_image_is_refused() -> None:
    source = generators.create("shuffled_patches", of=SOUND, patch=(16, 100), height=24)
    with pytest.raises(UsageError, match=r"source\.patch=\(16, 100\) leaves 1 whole"):
        source.images([0], FRONTEND)
    with pytest.raises(UsageError, match=r"source\.patch=\(0, 4\)"):
        generators.create("shuffled_patches", patch=(0, 4))
    with pytest.raises(UsageError, match="images"):
        source.batch([0])


def test_the_stream_shuffles_after_the_front_end(tmp_path: Path) -> None:
    source = generators.create("shuffled_patches", of=SOUND, patch=(8, 8), height=24)
    pool = open_pool(tmp_path, source, FRONTEND, 3)
    plain = FRONTEND.log_mel(generators.create("audiopg", seconds=1.0).batch(range(3)))
    shuffled = pool.read(torch.arange(3))
    assert torch.allclose(shuffled.flatten(1).sort().values, plain.flatten(1).sort().values, atol=0.01)
    assert not torch.allclose(shuffled, plain, atol=1.0)
    assert Stream(source, FRONTEND, 2, 0, pool, 4).batch(0, 0, 1, torch.device("cpu")).shape == (
        2,
        24,
        32,
    )


def test_a_shuffled_schedule_keeps_its_time(tmp_path: Path) -> None:
    words = [
        *("source=shuffled_patches", "pool=null", "scale.samples_seen=6400"),
        "source.of={mixture: {parts: {noise: [1, 0], dead_leaves: [0, 1]}}}",
    ]
    source = experiment_of(configure(words)).build_source(tmp_path, tmp_path)
    parts = [[source.describe(index)["part"] for index in range(at, at + 300)] for at in (0, 6100)]
    assert [row.count("noise") / 300 for row in parts] == pytest.approx([0.98, 0.02], abs=0.03)


# ---------------------------------------------------------------------------------------------------
# phase_randomised


@pytest.mark.parametrize("samples", [8000, 8001])
def test_magnitudes_are_kept_and_phases_are_new(samples: int) -> None:
    waveforms = torch.randn(3, samples, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.02
    made = randomise_phases(waveforms, torch.tensor([1, 2, 3])).double().numpy()
    before, after = np.fft.rfft(waveforms.double().numpy()), np.fft.rfft(made)
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-4 * np.abs(before).max())
    np.testing.assert_allclose(made.std(axis=1), waveforms.double().numpy().std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(made.mean(axis=1), waveforms.mean(dim=1).numpy(), atol=1e-5)
    turned = np.angle(after[:, 1:-1] / before[:, 1:-1]) / np.pi  # uniform on [-1, 1)
    assert abs(turned.mean()) < 0.02
    assert turned.var() == pytest.approx(1 / 3, rel=0.03)
    phases = np.angle(after[:, 1:-1]) / np.pi
    assert np.abs(np.corrcoef(phases) - np.eye(3)).max() < 0.07  # of different clips


def test_the_spectrum_of_a_clip_is_kept_and_its_events_are_not() -> None:
    source = generators.create("phase_randomised", of={"audiopg": {"seconds": 2.0}})
    plain = generators.create("audiopg", seconds=2.0)
    ours, theirs = source.batch(range(40)).double().numpy(), plain.batch(range(40)).double().numpy()
    magnitudes = [np.abs(np.fft.rfft(waveform)) for waveform in (ours, theirs)]
    scale = (magnitudes[0] * magnitudes[1]).sum(axis=1) / np.square(magnitudes[1]).sum(axis=1)
    error = np.abs(magnitudes[0] - scale[:, None] * magnitudes[1]).max(axis=1)
    assert (error < 1e-4 * magnitudes[1].max(axis=1)).all()
    assert (scale <= 1.0 + 1e-5).all()
    turned_down = scale < 1.0 - 1e-5
    np.testing.assert_allclose(np.abs(ours[turned_down]).max(axis=1), 1.0, atol=1e-6)

    def unevenness(waveforms: np.ndarray) -> float:
        power = np.square(waveforms).reshape(40, 20, -1).mean(axis=2)  # tenths of a second
        return float(np.mean(power.std(axis=1) / power.mean(axis=1)))

    assert unevenness(ours) < 0.6 * unevenness(theirs)


def test_a_clip_over_full_scale_is_turned_down_and_no_other() -> None:
    loud = generators.create("phase_randomised", of={"noise": {"seconds": 0.5}})
    quiet = generators.create("phase_randomised", of=SOUND)
    peaks = loud.batch(range(10)).abs().amax(dim=1)
    assert torch.allclose(peaks, torch.ones(10), atol=1e-6)  # uniform noise has peaks of 4 deviations
    assert (quiet.batch(range(20)).abs().amax(dim=1) < 0.999).any()


def test_only_sounds_have_phases() -> None:
    for of in ("dead_leaves", "shuffled_patches"):
        with pytest.raises(UsageError, match=rf"source\.of={of} makes no sounds.*source\.of=audiopg"):
            generators.create("phase_randomised", of=of)


# ---------------------------------------------------------------------------------------------------
# What they are made of


@pytest.mark.parametrize("name", ["shuffled_patches", "phase_randomised"])
@pytest.mark.parametrize(
    ("of", "answer"),
    [
        ("nois", r"source\.of\.nois: unknown source 'nois'. Did you mean 'noise'"),
        ("{noise: {color: pink}}", r"source\.of\.noise.*Did you mean 'colour'"),
        ("{noise: {weight: 2}}", r"source\.of\.noise: source 'noise' has no field 'weight'"),
        ("{noise: 2}", r"source\.of\.noise=2: expected fields"),
        ("{noise: {}, dead_leaves: {}}", r"source\.of is one source, got dead_leaves, noise"),
        ("{noise: {seconds: 0}}", r"source\.of\.noise\.seconds=0"),
        ("{}", r"source\.of={} names no source"),
    ],
)
def test_what_is_no_source_is_refused_by_its_key(name: str, of: str, answer: str) -> None:
    with pytest.raises(UsageError, match=answer):
        generators.create(name, of=yaml.safe_load(of))


def test_a_name_alone_or_with_fields_is_one_run() -> None:
    def made(*words: str) -> tuple[str, str]:
        built = experiment_of(configure(["source=shuffled_patches", *words]))
        return built.run_id, built.label

    plain = made("source.of=noise")
    assert plain[1] == "shuffled_patches of=noise"
    assert made("source.of={noise: {}}") == plain
    assert made("source.of={noise: {colour: white}}") == plain
    pink = made("source.of=noise", "source.of.noise.colour=pink")
    assert pink == made("source.of.noise.colour=pink")
    assert pink[1] == "shuffled_patches of={noise: {colour: pink}}"
    assert pink[0] != plain[0]


def test_controls_are_marked_as_such() -> None:
    for name in ("shuffled_patches", "phase_randomised", "noise"):
        assert experiment_of(configure([f"source={name}"])).is_control
    assert not experiment_of(configure(["source=mixture"])).is_control
