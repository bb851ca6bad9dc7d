"""Procedural shaders: programs, families and geometry against their definitions.

.venv/bin/python -m pytest tests/test_procshader.py
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures import shader_planes as planes
from generators.pictures import shader_scenes as scenes

RNG = np.random.default_rng(0)


def make(**fields: Any) -> Any:
    return generators.create("procshader", **{"height": 24, "width": 40, **fields})


def number(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value)


def scene(time: float = 0.0, **numbers: float) -> scenes.Scene:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 21), torch.linspace(-2, 2, 41), indexing="ij")
    return scenes.Scene(
        plane=(x[None], y[None]),
        time=number(time),
        numbers={key: number(value) for key, value in numbers.items()},
        points=torch.from_numpy(RNG.uniform(size=(1, scenes.POINTS, 4))).float(),
        lattice=torch.from_numpy(RNG.uniform(-1, 1, size=(1, scenes.LATTICE, scenes.LATTICE))).float(),
    )


# ---------------------------------------------------------------------------------------------------
# Programs


def test_a_program_is_the_same_at_any_time() -> None:
    source = make(programs=3)
    told = [source.describe(index) for index in range(40)]
    assert {each["program"] for each in told} == {0, 1, 2}
    for program in range(3):
        same = [each for each in told if each["program"] == program]
        assert len({str({k: v for k, v in each.items() if k != "time_seconds"}) for each in same}) == 1
        assert len({each["time_seconds"] for each in same}) == len(same)


def test_time_moves_a_program_and_little_of_it_a_little() -> None:
    source = make(programs=1, families=("interference",), p_bend=0.0, p_displace=0.0, p_mix=0.0)
    drawn = source.parameters(torch.tensor([0, 0, 0]))
    drawn["time"] = torch.tensor([1.0, 1.001, 3.0], dtype=torch.float64)
    now, soon, later = source.render(drawn, torch.device("cpu"))
    assert 0 < (now - soon).abs().mean() < 0.01
    assert (now - later).abs().mean() > 0.03


@pytest.mark.parametrize("name", scenes.FAMILIES)
def test_every_family_draws_pictures_that_differ(name: str) -> None:
    source = make(families=(name,), programs=None, p_bend=0.0, p_displace=0.0, p_mix=0.0)
    assert source.describe(3)["first"] == name
    batch = source.batch(range(6))
    assert torch.isfinite(batch).all()
    assert (batch.flatten(1).std(dim=1) > 0.01).all()
    apart = torch.cdist(batch.flatten(1), batch.flatten(1)) + 9.0 * torch.eye(6)
    assert apart.min() > 0.5


def test_families_are_drawn_evenly_and_switches_as_often_as_they_say() -> None:
    source = make(programs=None, p_bend=0.3, p_displace=0.2, p_mix=0.7)
    drawn = source.parameters(torch.arange(6000))
    counts = torch.bincount(drawn["first/family"], minlength=13)
    assert len(counts) == 13
    assert ((counts - 6000 / 13).abs() < 4.5 * math.sqrt(6000 / 13)).all()
    for found, share in (
        (drawn["first/bend"] > 0, 0.3),
        (drawn["displaced"], 0.2),
        (drawn["mix"] >= 0, 0.7),
    ):
        assert found.double().mean().item() == pytest.approx(share, abs=0.025)
    assert drawn["time"].min() >= 0.1
    assert drawn["time"].max() < 10.0


def test_a_batch_of_many_kinds_is_each_alone_on_an_accelerator_too() -> None:
    source = make(programs=None)
    drawn = source.parameters(torch.arange(12))
    together = source.paint(drawn, torch.device("cpu"))  # as an accelerator gets it: all at once
    assert torch.allclose(together, source.batch(range(12)), atol=2e-3)


# ---------------------------------------------------------------------------------------------------
# Planes and scenes


def test_the_canvas_is_placed_as_it_says() -> None:
    place = {key: number(0.0) for key in ("angle", "zoom", "stretch", "x", "y")}
    x, y = planes.canvas(11, 21, place, torch.device("cpu"))
    assert y[0, 0, 0] == -1.0  # the lowest frequency
    assert x[0, 0, -1].item() == pytest.approx(21 / 11)
    turned = {**place, "angle": number(math.pi / 2), "zoom": number(1.0), "x": number(0.5)}
    u, v = planes.canvas(11, 21, turned, torch.device("cpu"))
    assert torch.allclose(u, -2.0 * y + 0.5, atol=1e-5)
    assert torch.allclose(v, (2.0 * x).expand_as(v), atol=1e-5)


def test_bends_keep_what_they_promise() -> None:
    x, y = scene().plane
    u = {"first": number(0.5), "second": number(0.5)}
    radius = torch.hypot(x, y)
    for bend in (planes.kaleidoscope, planes.swirl):
        assert torch.allclose(torch.hypot(*bend(x, y, u)), radius, atol=1e-5)
    sector = math.pi / 6  # 3 + floor(6 * 0.5) mirrors
    cosine, sine = math.cos(2 * sector), math.sin(2 * sector)
    turned = (x * cosine - y * sine, x * sine + y * cosine)
    assert torch.allclose(
        torch.stack(planes.kaleidoscope(*turned, u)),
        torch.stack(planes.kaleidoscope(x, y, u)),
        atol=1e-4,
    )
    side = 0.6 + 1.4 * 0.5
    again = planes.mirrored_tiles(x + 2 * side, y, u)
    assert torch.allclose(torch.stack(again), torch.stack(planes.mirrored_tiles(x, y, u)), atol=1e-5)


def test_noise_takes_the_lattice_at_whole_numbers_and_is_smooth_between() -> None:
    drawn = scene()
    columns, rows = torch.meshgrid(torch.arange(-3.0, 4.0), torch.arange(60.0, 67.0), indexing="xy")
    found = drawn.noise(columns[None], rows[None])[0]
    lattice = drawn.lattice[0].numpy()
    assert np.allclose(found, lattice[np.ix_(np.arange(60, 67) % 64, np.arange(-3, 4) % 64)], atol=1e-6)
    x = torch.linspace(0, 5, 5001)[None, None]
    assert drawn.noise(x, 0.3 + 0 * x).diff().abs().max() < 0.005


def test_the_nearest_cell_is_the_nearest() -> None:
    drawn = scene(border=0.0)
    x, y = (axis[0].numpy() for axis in drawn.plane)
    points = np.array([[axis.item() for axis in point] for point in drawn.moving_points(16)])
    distance = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    assert np.allclose(scenes.voronoi(drawn)[0], distance.min(axis=2), atol=1e-5)


def test_a_julia_set_of_zero_is_the_disc() -> None:
    drawn = scene(radius=0.0, angle=0.0)
    steps = scenes.escape_time(drawn)[0]
    radius = torch.hypot(*drawn.plane)[0]
    assert (steps[radius < 0.9] > 23.0).all()
    assert (steps[radius > 1.2] < 16.0).all()


def test_marched_balls_on_the_axis_are_round() -> None:
    drawn = scene(time=0.0, period=3.0, radius=0.5, shift=0.0, solid=0.0)
    turned = replace(drawn, plane=(-drawn.plane[0], drawn.plane[1]))
    assert torch.allclose(scenes.solids(drawn), scenes.solids(turned), atol=1e-3)
    y = torch.linspace(-1, 1, 41)
    square = torch.meshgrid(y, y, indexing="xy")
    drawn = replace(drawn, plane=(square[0][None], square[1][None]))
    field = scenes.solids(drawn)[0]
    assert torch.allclose(field, field.T, atol=1e-3)
    assert field.max() > 3 * field.median().clamp_min(0.01)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"families": ("plasmas",)}, "'plasmas' is none"),
        ({"families": ()}, "empty"),
        ({"programs": 0}, "source.programs=0"),
        ({"time_seconds": (3.0, 1.0)}, "source.time_seconds"),
        ({"p_mix": 1.2}, "source.p_mix"),
        ({"height": 4}, "too small"),
        ({"grey": "principal"}, "painted in grey"),
    ],
)
def test_impossible_fields_are_refused_with_the_cure(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make(**fields)
