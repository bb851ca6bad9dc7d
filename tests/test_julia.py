"""Julia sets against closed forms, a complex128 loop, and the definition of their points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.julia import iterate, point_of_set


def on_points(
    z: np.ndarray, c: complex, degree: int, iterations: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Escape times and nearness of complex points under one parameter."""
    x, y = (torch.from_numpy(part.copy()).float() for part in (z.real, z.imag))
    parameter = torch.tensor([[c.real, c.imag]], dtype=torch.float32).expand(len(z), 2)
    time, nearness = iterate(x, y, parameter, torch.full((len(z),), degree), iterations)
    return time.double().numpy(), nearness.double().numpy()


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_without_a_parameter_times_have_a_closed_form(degree: int) -> None:
    radius = np.linspace(1.01, 2.1, 200)
    z = radius * np.exp(1j * np.linspace(0, 40, 200))
    time, _ = on_points(z, 0j, degree)
    # |z_n| = |z|^(d^n), so that n - log_d(ln |z_n| / ln 100) = log_d(ln 100 / ln |z|)
    wanted = np.log(math.log(100.0) / np.log(np.abs(z).astype(np.float32).astype(float)))
    np.testing.assert_allclose(time, wanted / math.log(degree), atol=5e-3)
    inside, nearness = on_points(0.98 * z / radius, 0j, degree)
    assert (inside == -1).all()
    assert nearness.max() < 0.3


@pytest.mark.parametrize(
    ("c", "degree"), [(-0.8 + 0.156j, 2), (0.3 + 0.5j, 2), (0.4 + 0.4j, 3), (-0.6j, 4)]
)
def test_times_and_nearness_equal_a_plain_loop(c: complex, degree: int) -> None:
    rng = np.random.default_rng(0)
    z = rng.uniform(-1.4, 1.4, 400) + 1j * rng.uniform(-1.4, 1.4, 400)
    time, nearness = on_points(z, c, degree)
    slow_time, slow_near = [], []
    for point in z:
        near = math.inf
        for step in range(1, 65):
            point = point**degree + c
            near = min(near, abs(point))
            if abs(point) > 100.0:
                slow_time.append(
                    step - math.log(math.log(abs(point)) / math.log(100.0)) / math.log(degree)
                )
                slow_near.append(0.0)
                break
        else:
            slow_time.append(-1.0)
            slow_near.append(near)
    agree = np.isclose(time, slow_time, atol=0.05) & np.isclose(nearness, slow_near, atol=0.01)
    assert agree.mean() > 0.97  # chaotic orbits may part in float32
    assert (time >= 0).sum() > 10


def test_points_of_different_degrees_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 300, generator=generator) * 2 - 1
    c = torch.rand(300, 2, generator=generator) - 0.5
    degree = torch.randint(2, 5, (300,), generator=generator)
    together = iterate(x, y, c, degree, 40)
    for number in (2, 3, 4):
        own = degree == number
        alone = iterate(x[own], y[own], c[own], degree[own], 40)
        for mixed, pure in zip(together, alone, strict=True):
            assert torch.equal(mixed[own], pure)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_a_point_of_the_set_is_an_inverse_image(degree: int) -> None:
    c = torch.tensor([0.1 + 0.2j, -0.3 + 0.4j, 0.5 - 0.1j], dtype=torch.complex128)
    roots = torch.arange(36).view(3, 12) * 7
    z = point_of_set(c, torch.full((3,), degree), roots)
    for _ in range(12):
        z = z**degree + c
    torch.testing.assert_close(z, torch.ones_like(z), atol=1e-5, rtol=0.0)
    other = point_of_set(c, torch.full((3,), degree), roots + 1)
    assert float((other - z).abs().min()) > 1e-3


def test_parameters_lie_at_the_edge_of_the_main_body() -> None:
    source = generators.create("julia", distance=(1.0, 1.0))
    drawn = source.parameters(torch.arange(200))
    c = torch.view_as_complex(drawn["c"]).numpy()
    for one, degree in zip(c, drawn["degree"].tolist(), strict=True):
        # the fixed points solve z^d - z + c = 0; one of them is neutral: |d z^(d-1)| = 1
        fixed = np.roots([1.0, *[0.0] * (degree - 2), -1.0, one])
        assert np.abs(np.abs(degree * fixed ** (degree - 1)) - 1).min() < 1e-6
    assert sorted(set(drawn["degree"].tolist())) == [2, 3, 4]


def test_the_longer_side_spans_the_plane_over_the_zoom() -> None:
    source = generators.create("julia", height=40, width=60, zoom=(1.0, 1.0), bands=(1.0, 1.0))
    drawn = source.parameters(torch.tensor([0]))
    drawn |= {
        "c": torch.zeros(1, 2, dtype=torch.float64),
        "centre": torch.zeros(1, 2, dtype=torch.float64),
        "angle": torch.zeros(1, dtype=torch.float64),
        "phase": torch.zeros(1, dtype=torch.float64),
        "degree": torch.tensor([2]),
    }
    picture = source.paint(drawn, torch.device("cpu"))[0].double().numpy()
    across, up = (np.arange(60) - 29.5) * 0.05, (np.arange(40) - 19.5) * 0.05
    radius = np.hypot(across[None, :], up[:, None])
    outside = radius > 1.02
    time = np.log2(math.log(100.0) / np.log(radius[outside]))
    wanted = (1 + np.cos(2 * np.pi * np.log1p(np.maximum(time, 0.0)))) / 2
    np.testing.assert_allclose(picture[outside], wanted, atol=5e-3)


def test_pictures_have_structure() -> None:
    pictures = generators.create("julia", height=64, width=64, iterations=48).batch(range(60))
    assert float(pictures.flatten(1).std(dim=1).min()) > 0.05
    assert float(pictures.flatten(1).std(dim=1).median()) > 0.25


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"highest_degree": 1}, r"source\.highest_degree=1.*2 to 8.*Type source\.highest_degree=4"),
        ({"iterations": 2}, r"source\.iterations=2.*at least 8"),
        ({"zoom": (0.0, 2.0)}, r"source\.zoom=\[0\.0, 2\.0\]"),
        ({"distance": (1.2, 1.0)}, r"source\.distance=\[1\.2, 1\.0\].*low first"),
        ({"bands": (-1.0, 1.0)}, r"source\.bands"),
        ({"height": 2}, r"source\.height=2"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        generators.create("julia", **fields)
