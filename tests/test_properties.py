"""Properties of pictures against independent computations, and the table a user gets of them.

.venv/bin/python -m pytest tests/test_properties.py
"""

from __future__ import annotations

import csv
import io
import itertools
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
import soundfile
import torch

from generators import properties
from generators.properties import Interval
from suite import cli
from suite import properties as tables

RNG = np.random.default_rng(0)


def clouds(count: int = 6, height: int = 48, width: int = 80) -> np.ndarray:
    """Smooth random pictures with edges, of mean 0 and standard deviation 1."""
    noise = RNG.normal(size=(count, height, width))
    smooth = scipy.signal.fftconvolve(noise, np.ones((1, 5, 9)) / 45.0, mode="same", axes=(1, 2))
    pictures = smooth / smooth.std() + (np.arange(width) > 30) * 0.7
    return (pictures - pictures.mean()) / pictures.std()


PICTURES = clouds()
TENSOR = torch.from_numpy(PICTURES).float()


# ---------------------------------------------------------------------------------------------------
# Each measure against another way to compute it


def test_contrast_and_total_variation() -> None:
    assert np.allclose(properties.contrast(TENSOR), PICTURES.std(axis=(1, 2)), atol=1e-6)
    for axis in (1, 2):
        expected = np.abs(np.diff(PICTURES, axis=axis)).mean(axis=(1, 2))
        assert np.allclose(properties.total_variation(TENSOR, axis), expected, atol=1e-6)
    stripes = torch.tensor([0.0, 1.0]).repeat(16).expand(1, 32, 32)  # change with time only
    assert properties.total_variation(stripes, 1).item() == 0.0
    assert properties.total_variation(stripes, 2).item() == 1.0


def ring_slope(picture: np.ndarray) -> float:
    """The radial slope ring by ring, from the definition."""
    side = min(picture.shape)
    power = np.abs(scipy.fft.fft2(picture)) ** 2
    radius = side * np.hypot(*np.meshgrid(*map(scipy.fft.fftfreq, picture.shape), indexing="ij"))
    rings = np.arange(2, side // 2 + 1)
    means = [power[(radius >= k - 0.5) & (radius < k + 0.5)].mean() for k in rings]
    return scipy.stats.linregress(np.log(rings), np.log(means)).slope


@pytest.mark.parametrize("shape", [(48, 80), (64, 64), (33, 47)])
def test_the_spectral_slope_is_a_line_through_ring_means(shape: tuple[int, int]) -> None:
    pictures = clouds(3, *shape)
    expected = [ring_slope(picture) for picture in pictures]
    assert np.allclose(properties.spectral_slope(torch.from_numpy(pictures)), expected, atol=2e-2)


@pytest.mark.parametrize("exponent", [0.0, -1.0, -2.0, -3.0])
def test_the_spectral_slope_of_a_power_law_is_its_exponent(exponent: float) -> None:
    rows, columns = np.fft.fftfreq(80)[:, None], np.fft.fftfreq(208)[None]
    radius = np.hypot(rows, columns)
    radius[0, 0] = 1.0
    field = np.fft.ifft2(np.fft.fft2(RNG.normal(size=(20, 80, 208))) * radius ** (exponent / 2)).real
    assert properties.spectral_slope(torch.from_numpy(field)).mean() == pytest.approx(
        exponent, abs=0.06
    )


def test_anisotropy_is_one_for_parallel_edges_and_small_for_noise() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    gratings = torch.stack([torch.sin(0.05 * (a * rows + b * columns)) for a, b in ((1, 0), (3, 4))])
    assert (properties.anisotropy(gratings) > 0.995).all()
    noise = torch.from_numpy(RNG.normal(size=(4, 256, 256)))
    assert (properties.anisotropy(noise) < 0.02).all()
    tensors = []
    for picture in PICTURES:
        rows, columns = np.gradient(picture)
        values = np.linalg.eigvalsh(
            [
                [(rows**2).mean(), (rows * columns).mean()],
                [(rows * columns).mean(), (columns**2).mean()],
            ]
        )
        tensors.append((values[1] - values[0]) / values.sum())
    assert np.allclose(properties.anisotropy(TENSOR), tensors, atol=1e-6)


def test_entropy_counts_grey_levels() -> None:
    levels = np.clip(np.floor((TENSOR.double().numpy() + 4.0) * 32.0), 0, 255).astype(np.uint8)
    expected = [
        scipy.stats.entropy(np.unique(picture, return_counts=True)[1], base=2) for picture in levels
    ]
    assert np.allclose(properties.entropy(TENSOR), expected, atol=1e-9)
    even = ((torch.arange(256.0) + 0.5) / 32.0 - 4.0).reshape(1, 16, 16)
    assert properties.entropy(even).item() == pytest.approx(8.0)


def test_bits_per_pixel_are_those_of_the_deflated_differences() -> None:
    levels = np.clip(np.floor((TENSOR.double().numpy() + 4.0) * 32.0), 0, 255).astype(np.uint8)
    expected = []
    for picture in levels:
        rows = [
            bytes([row[0], *((int(b) - int(a)) % 256 for a, b in itertools.pairwise(row))])
            for row in picture
        ]
        expected.append(8 * len(zlib.compress(b"".join(rows), 9)) / picture.size)
    assert np.allclose(properties.bits_per_pixel(TENSOR), expected, atol=1e-12)
    noise = torch.from_numpy(RNG.uniform(-4, 4, size=(1, 64, 64)))
    assert properties.bits_per_pixel(noise).item() > 7.9


def test_neighbour_predictability_compares_neighbours_with_strangers() -> None:
    expected = []
    for picture in PICTURES:
        near = [np.abs(picture[16:] - picture[:-16]).mean()]
        near.append(np.abs(picture[:, 16:] - picture[:, :-16]).mean())
        flat = picture.ravel()
        pairs = np.abs(flat[:, None] - flat[None, :]).sum() / (flat.size * (flat.size - 1))
        expected.append(1.0 - np.mean(near) / pairs)
    assert np.allclose(properties.neighbour_predictability(TENSOR), expected, atol=1e-5)
    period = torch.from_numpy(np.tile(RNG.normal(size=(16, 16)), (3, 4)))[None]
    assert properties.neighbour_predictability(period).item() == pytest.approx(1.0)
    noise = torch.from_numpy(RNG.normal(size=(1, 128, 128)))
    assert abs(properties.neighbour_predictability(noise).item()) < 0.03


def test_a_patch_is_a_square_of_the_picture() -> None:
    found = properties.patches(TENSOR)
    assert found.shape == (6, 3 * 5, 256)
    assert np.allclose(found[2, 7], PICTURES[2, 16:32, 32:48].ravel(), atol=1e-6)  # row 1, column 2
    assert properties.patches(torch.zeros(2, 40, 63)).shape == (2, 2 * 3, 256)


def test_flat_share_counts_quiet_patches() -> None:
    picture = torch.from_numpy(RNG.normal(size=(1, 32, 64)))
    picture[:, :16, :48] *= 0.03
    assert properties.flat_share(picture).item() == pytest.approx(3 / 8)


def test_patch_rank_is_the_number_of_equal_components() -> None:
    weights = RNG.normal(size=(4000, 7))
    basis = scipy.linalg.orth(RNG.normal(size=(256, 7)))
    blocks = (weights @ basis.T).reshape(40, 10, 10, 16, 16)
    pictures = blocks.transpose(0, 1, 3, 2, 4).reshape(40, 160, 160)
    assert properties.patch_rank(torch.from_numpy(pictures)) == pytest.approx(7.0, abs=0.05)
    values = np.linalg.svd(
        (lambda x: x - x.mean(axis=0))(properties.patches(TENSOR).flatten(0, 1).numpy()),
        compute_uv=False,
    )
    share = values**2 / (values**2).sum()
    expected = np.exp(-(share * np.log(share.clip(1e-300))).sum())
    assert properties.patch_rank(TENSOR) == pytest.approx(expected, rel=1e-6)


def test_diversity_is_one_minus_the_mean_cosine_of_pairs() -> None:
    features = []
    for picture in PICTURES:
        blocks = [picture[r : r + 16, c : c + 16] for r in (0, 16, 32) for c in range(0, 80, 16)]
        features.append([b.mean() for b in blocks] + [b.std() for b in blocks])
    cosines = 1.0 - scipy.spatial.distance.pdist(np.array(features), "cosine")
    assert properties.diversity(TENSOR) == pytest.approx(1.0 - cosines.mean(), abs=1e-6)
    assert properties.diversity(TENSOR[:1].expand(5, -1, -1)) == pytest.approx(0.0, abs=1e-9)


def test_the_frechet_distance_is_that_of_two_gaussians() -> None:
    first, second = clouds(8, 80, 208), RNG.normal(0.3, 1.2, size=(8, 80, 208))
    found = properties.frechet(torch.from_numpy(second), properties.moments(torch.from_numpy(first)))
    (m1, c1), (m2, c2) = (
        (v.numpy() for v in properties.moments(torch.from_numpy(x))) for x in (first, second)
    )
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2.0 * root)
    assert found == pytest.approx(expected / 256, rel=1e-4)
    assert (
        properties.frechet(torch.from_numpy(first), properties.moments(torch.from_numpy(first))) < 1e-6
    )


# ---------------------------------------------------------------------------------------------------
# Intervals


def test_students_interval_is_scipys() -> None:
    values = RNG.normal(3.0, 2.0, size=17)
    found = properties.student(torch.from_numpy(values))
    expected = scipy.stats.t.interval(0.95, 16, values.mean(), scipy.stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_jackknife_covers_a_spread_that_is_known() -> None:
    def spread(images: torch.Tensor) -> float:
        return images.mean(dim=(1, 2)).std().item()

    covered = 0
    for _ in range(200):
        found = properties.jackknife(torch.from_numpy(RNG.normal(size=(60, 1, 1))), spread)
        covered += found.low < 1.0 < found.high
    assert 174 <= covered <= 199  # 95 % of 200, give or take what ten groups cost


def test_every_property_has_an_interval_around_it() -> None:
    found = properties.measure(TENSOR, properties.moments(TENSOR.flip(2)))
    assert tuple(found) == properties.NAMES
    for name, interval in found.items():
        assert interval.low <= interval.value <= interval.high, name
    assert "frechet" not in properties.measure(TENSOR)


def test_constant_pictures_are_measured_without_nan() -> None:
    still = TENSOR.clone()
    still[0] = 0.25
    for name, interval in properties.measure(still, properties.moments(TENSOR)).items():
        assert np.isfinite([interval.value, interval.low, interval.high]).all(), name
    assert properties.spectral_slope(still)[0] == pytest.approx(0.0, abs=1e-9)
    assert properties.neighbour_predictability(still)[0] == 1.0
    assert properties.flat_share(still)[0] == 1.0


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (torch.zeros(3, 80, 208), "at least 4"),
        (torch.zeros(5, 12, 40), "more than 16 pixels"),
        (torch.zeros(5, 4, 40), "at least 6 x 6"),
    ],
)
def test_too_few_or_too_small_pictures_are_refused(pictures: torch.Tensor, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        properties.measure(pictures)


# ---------------------------------------------------------------------------------------------------
# The table of a user


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """Working folders, and three seconds of real sound in the data folder, as words to type."""
    (tmp_path / "data" / "pretrain_real").mkdir(parents=True)
    for number in range(3):
        sound = scipy.signal.lfilter([1.0], [1.0, -0.9], RNG.normal(size=16000)) / 20.0
        soundfile.write(tmp_path / "data" / "pretrain_real" / f"{number}.wav", sound, 16000)
    return [f"paths.{key}={tmp_path / key}" for key in ("data", "runs", "cache")]


def test_a_table_has_a_row_a_source_and_typing_it_again_measures_nothing(
    places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(tables, "REFERENCE", 8)
    words = ["properties", "source=worley,noise", "inputs=4", "pool=null", *places]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    written = (tmp_path / "runs" / "properties" / "properties.csv").read_text()
    rows = {row["source"]: row for row in csv.DictReader(io.StringIO(written))}
    assert list(rows) == ["real log-mels", "noise", "worley"]  # sounds come before pictures
    for row in rows.values():
        for name in properties.NAMES:
            assert float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"])
    assert float(rows["noise"]["variation_time"]) > 3 * float(rows["worley"]["variation_time"])
    cell = [float(rows["noise"][f"entropy{end}"]) for end in ("", "_low", "_high")]
    assert f"| {tables.shown(Interval(*cell))} |" in first
    assert (tmp_path / "runs" / "properties" / "properties.md").read_text() in first

    def refuse(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(properties, "measure", refuse)
    assert cli.main(words) == 0
    assert capsys.readouterr().out == first
    with pytest.raises(AssertionError, match="measured again"):  # what has changed is measured
        cli.main([*words[:2], "inputs=5", *words[3:]])


def test_without_recordings_the_distance_is_left_out_and_said(
    places: list[str], tmp_path: Path, capsys: Any
) -> None:
    away = [*places[1:], f"paths.data={tmp_path / 'nowhere'}"]
    assert cli.main(["properties", "source=worley", "inputs=4", "pool=null", *away]) == 0
    shown = capsys.readouterr()
    assert "no frechet" in shown.err
    assert "SOURCEBENCH_DATA" in shown.err
    assert shown.out.splitlines()[2].endswith("| \N{EN DASH} |")


def test_one_source_that_fails_is_named_and_the_others_are_measured(
    places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def flaky(source: Any, *_: Any) -> dict[str, Interval]:
        if source.name == "perlin":
            raise RuntimeError("out of noise")
        return {"contrast": Interval(0.5, 0.4, 0.6)}

    monkeypatch.setattr(tables, "measured", flaky)
    words = ["inputs=4", "pool=null", *places[1:], f"paths.data={tmp_path / 'nowhere'}"]
    assert cli.main(["properties", "source=perlin,worley,recordings", *words]) == 1
    shown = capsys.readouterr()
    assert "failed: RuntimeError: out of noise" in shown.err
    assert "recordings" in shown.err
    assert "| worley | 0.50 ± 0.10 |" in shown.out
    assert "| perlin |" not in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "source=all"),
        (["source=worlie"], "worley"),
        (["source=worley,noise", "source.p_invert=0"], "field of one source"),
        (["source=worley", "inputs=3"], "at least 4"),
        (["source=worley", "input=30"], "inputs"),
    ],
)
def test_wrong_words_are_answered_before_anything_is_measured(
    words: list[str], said: str, capsys: Any
) -> None:
    assert cli.main(["properties", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (None, "\N{EN DASH}"),
        (Interval(1.2341, 1.2, 1.2702), "1.234 ± 0.035"),
        (Interval(-2.5, -2.7, -2.3), "\N{MINUS SIGN}2.50 ± 0.20"),
        (Interval(184.23, 181.0, 187.4), "184.2 ± 3.2"),
    ],
)
def test_a_cell_shows_the_digits_that_its_interval_justifies(
    interval: Interval | None, text: str
) -> None:
    assert tables.shown(interval) == text
