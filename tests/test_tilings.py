"""Tilings are unchanged by the elements of their wallpaper group, and by no others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError
from generators.pictures.tilings import ALLOWED, TILES, basis, hexagon_distance
from generators.pictures.wallpaper import ELEMENTS, GROUPS, HARMONICS, sum_of_waves

CPU = torch.device("cpu")
COUNT = 8


def source_of(group: str, **fields: Any) -> Any:
    return generators.create(
        "tilings", groups=[group], height=64, width=96, bend=[0.02, 0.05], **fields
    )


def pictures_with(source: Any, **changes: Any) -> torch.Tensor:
    """Pictures of the first samples after ``changes``, functions of the drawn factors by name."""
    drawn = source.parameters(torch.arange(COUNT))
    return source.render({**drawn, **{key: change(drawn) for key, change in changes.items()}}, CPU)


def difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().mean(dim=(1, 2)).max())


@pytest.mark.parametrize("group", GROUPS)
def test_whole_lattice_steps_change_nothing(group: str) -> None:
    source = source_of(group)
    here = pictures_with(source)
    steps = torch.tensor([2.0, -3.0], dtype=torch.float64)
    there = pictures_with(source, origin=lambda drawn: drawn["origin"] + steps)
    half = pictures_with(source, origin=lambda drawn: drawn["origin"] + 0.25)
    assert difference(here, there) < 1e-3
    assert (here - half).abs().mean() > 0.02


# how far a lattice about the origin may be turned: by the group, and by another angle
TURNS = [("p2", 180.0, 90.0), ("pmm", 180.0, 90.0), ("p4", 90.0, 45.0), ("p6", 60.0, 90.0)]


@pytest.mark.parametrize(("group", "turn", "other"), TURNS)
def test_the_groups_rotation_changes_nothing_and_another_does(
    group: str, turn: float, other: float
) -> None:
    source = source_of(group)

    def turned(degrees: float) -> torch.Tensor:
        return pictures_with(
            source,
            origin=lambda drawn: torch.zeros_like(drawn["origin"]),
            angle=lambda drawn: drawn["angle"] + math.radians(degrees),
        )

    assert difference(turned(0.0), turned(turn)) < 1e-3
    assert (turned(0.0) - turned(other)).abs().mean() > 0.02


def test_p1_has_no_rotation() -> None:
    source = source_of("p1", levels=[1, 1])
    fields = {"origin": lambda drawn: torch.zeros_like(drawn["origin"])}
    here = pictures_with(source, **fields)
    turned = pictures_with(source, **fields, angle=lambda drawn: drawn["angle"] + math.pi)
    assert (here - turned).abs().mean() > 0.01


@pytest.mark.parametrize("axis", [1, 2])
def test_pmm_has_mirrors_along_both_axes(axis: int) -> None:
    source = generators.create("tilings", groups=["pmm"], height=65, width=97, bend=[0.02, 0.05])

    def origin(drawn: dict[str, torch.Tensor]) -> torch.Tensor:
        # the middle pixel (32, 48) lies on the crossing of two mirrors
        middle = torch.tensor([48.0, 32.0], dtype=torch.float64).expand(COUNT, 2)
        upright = {**drawn, "angle": torch.zeros_like(drawn["angle"])}
        return -torch.linalg.solve(basis(upright), middle)

    pictures = pictures_with(
        source, angle=lambda drawn: torch.zeros_like(drawn["angle"]), origin=origin
    )
    assert difference(pictures, pictures.flip(axis)) < 1e-3
    assert (pictures - pictures.roll(5, axis)).abs().mean() > 0.02


@pytest.mark.parametrize("group", GROUPS)
def test_elements_form_a_group_of_isometries(group: Any) -> None:
    elements = [np.array(element) for element in ELEMENTS[group]]
    for first in elements:
        for second in elements:
            assert any((first @ second == known).all() for known in elements)
    drawn = source_of(group).parameters(torch.arange(3))
    for lattice in basis(drawn).numpy():
        for element in elements:  # as a map of the plane it keeps lengths
            plane = lattice @ element @ np.linalg.inv(lattice)
            np.testing.assert_allclose(plane @ plane.T, np.eye(2), atol=1e-9)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_draws_the_tiles_it_allows_and_no_other(group: Any) -> None:
    source = generators.create("tilings", groups=[group])
    drawn = source.parameters(torch.arange(60))
    assert {TILES[tile] for tile in drawn["tile"].tolist()} == set(ALLOWED[group])


def test_hexagon_sides_are_where_two_centres_are_equally_near() -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(-3, 3, (1, 2, 20, 20))
    distance = hexagon_distance(torch.tensor(place, dtype=torch.float32), torch.tensor([10.0]))
    lattice = np.array([[1.0, 0.5], [0.0, math.sqrt(0.75)]])
    points = np.stack(np.meshgrid(np.arange(-8, 9), np.arange(-8, 9)), -1).reshape(-1, 2)
    gaps = np.linalg.norm(
        lattice @ (place[0].reshape(2, -1)[:, None] - points.T[:, :, None]).reshape(2, -1), axis=0
    ).reshape(len(points), -1)
    order = np.sort(gaps, axis=0)
    # the bisector of centres a unit apart lies (r2^2 - r1^2) / 2 away
    expected = (order[1] ** 2 - order[0] ** 2) / 2 * 10
    np.testing.assert_allclose(distance[0].numpy().ravel(), expected, atol=1e-4)


def test_waves_equal_their_plain_sum() -> None:
    rng = np.random.default_rng(1)
    vectors, phases = rng.normal(0, 0.05, (2, 5, 2)), rng.uniform(0, 1, (2, 5))
    amplitudes = rng.normal(0, 1, (2, 5, 3, 2))
    fast = sum_of_waves(*map(torch.tensor, (vectors, phases, amplitudes)), (11, 17)).numpy()
    y, x = np.meshgrid(np.arange(11), np.arange(17), indexing="ij")
    for sample in range(2):
        for component in range(3):
            slow = np.zeros((11, 17))
            for wave in range(5):
                turn = (
                    vectors[sample, wave, 0] * x + vectors[sample, wave, 1] * y + phases[sample, wave]
                )
                cosine, sine = amplitudes[sample, wave, component]
                slow += cosine * np.cos(2 * np.pi * turn) + sine * np.sin(2 * np.pi * turn)
            np.testing.assert_allclose(fast[sample, component], slow, atol=1e-5)


def test_harmonics_are_one_of_each_pair() -> None:
    assert len(set(HARMONICS)) == len(HARMONICS) == 12
    assert not {(-m, -n) for m, n in HARMONICS} & set(HARMONICS)


def test_levels_add_outlines() -> None:
    one, three = (generators.create("tilings", levels=[k, k], p_shading=0.0) for k in (1, 3))
    edges = [float(source.batch(range(12)).diff(dim=2).abs().mean()) for source in (one, three)]
    assert edges[1] > 1.3 * edges[0]


def test_groups_are_weighted_by_repetition() -> None:
    source = generators.create("tilings", groups=["p4", "p4", "p6"])
    drawn = source.parameters(torch.arange(3000))["group"]
    share = (drawn == GROUPS.index("p4")).double().mean().item()
    assert share == pytest.approx(2 / 3, abs=4 * (2 / 9 / 3000) ** 0.5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"groups": []}, "source.groups is empty"),
        ({"cell_px": [1.0, 9.0]}, "source.cell_px"),
        ({"levels": [0, 2]}, "source.levels"),
        ({"lean_degrees": [0.0, 90.0]}, "source.lean_degrees"),
        ({"p_shading": -0.1}, "source.p_shading"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        generators.create("tilings", **fields)
