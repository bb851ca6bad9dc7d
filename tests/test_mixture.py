"""A mixture draws its parts as its weights say, shows their samples, and keeps time with the training.

.venv/bin/python -m pytest tests/test_mixture.py
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import generators
from generators.drawer import BadData, UsageError
from generators.mixture import Mixture
from suite import comparison
from suite.configuration import configure, experiment_of
from suite.experiment import Experiment
from suite.frontend import FrontEnd
from suite.pools import Pool, open_pool, pool_path
from suite.stream import Stream, measure_source

CPU = torch.device("cpu")
FRONTEND = FrontEnd(bands=24, frames=32)
SOUND = {"noise": {"seconds": 0.4}}  # 41 frames
PICTURE = {"dead_leaves": {"side": 32}}


def mixture(parts: dict[str, Any] | None = None, **fields: Any) -> Mixture:
    """Sounds of 41 frames and pictures of 36, unless told otherwise."""
    made = generators.create(
        "mixture", **{"parts": parts or {**SOUND, **PICTURE}, "height": 24, "width": 36, **fields}
    )
    assert isinstance(made, Mixture)
    return made


def counts(source: Mixture, indices: Tensor) -> list[float]:
    """Shares of the parts among samples, in the order of their labels."""
    part = source.parameters(indices)["part"]
    return (torch.bincount(part, minlength=len(source.children)) / len(indices)).tolist()


# ---------------------------------------------------------------------------------------------------
# What a sample is


def test_a_sample_is_the_same_sample_of_the_part_standardised_and_cut() -> None:
    source, indices = mixture(), torch.arange(12)
    images = source.images(indices, FRONTEND)
    drawn = source.parameters(indices)
    assert images.shape == (12, 24, 36)
    assert set(drawn["part"].tolist()) == {0, 1}
    for label, length in {"dead_leaves": 36, "noise": 41}.items():
        number = list(source.children).index(label)
        alone = generators.create(label, **{**SOUND, **PICTURE}[label])
        if label == "dead_leaves":
            alone = generators.create(label, side=32, height=24, width=36)
        pixels = alone.images(torch.arange(64), FRONTEND).double()
        for row in (drawn["part"] == number).nonzero()[:, 0].tolist():
            start = int(float(drawn["place"][row]) * (length - 36 + 1))
            raw = alone.images([row], FRONTEND)[0, :, start : start + 36]
            expected = (raw - pixels.mean()) / pixels.std()
            assert torch.allclose(images[row].double(), expected.double(), atol=1e-5)


def test_parts_of_any_level_have_the_same_mean_and_spread() -> None:
    source = mixture(
        {**SOUND, **PICTURE, "recorded": {"name": "noise", "colour": "brown", "seconds": 0.4}}
    )
    part = source.parameters(torch.arange(96))["part"]
    images = source.images(torch.arange(96), FRONTEND)
    for number in range(3):
        pixels = images[part == number]
        assert abs(float(pixels.mean())) < 0.25
        assert 0.8 < float(pixels.std()) < 1.2


def test_short_sounds_are_padded_with_silence() -> None:
    source = mixture({"noise": {"seconds": 0.2}, **PICTURE})  # 21 frames
    heard = source.parameters(torch.arange(20))["part"] == list(source.children).index("noise")
    images = source.images(torch.arange(20), FRONTEND)[heard]
    mean, std = source.statistics("noise", FRONTEND)
    silence = torch.full_like(images[:, :, 21:], (FRONTEND.pad_level - mean) / std)
    assert torch.allclose(images[:, :, 21:], silence)
    assert float(images[:, :, :20].min()) > float(silence[0, 0, 0])


def test_cuts_lie_anywhere() -> None:
    source = mixture({"noise": {"seconds": 1.0}, **PICTURE})
    place = source.parameters(torch.arange(2000))["place"]
    assert 0.48 < float(place.mean()) < 0.52
    assert (float(place.min()), float(place.max())) == pytest.approx((0.0, 1.0), abs=0.01)


def test_sounds_can_be_heard_and_pictures_not() -> None:
    source = mixture()
    for index, sound in enumerate(source.sounds(list(range(8)))):
        label = source.describe(index)["part"]
        assert (sound is None) == (label == "dead_leaves")
        if sound is not None:
            expected = generators.create("noise", **SOUND["noise"]).sample(index)
            assert sound[1] == 16_000
            assert torch.equal(sound[0], expected)


def test_a_description_names_the_part_and_is_its_own() -> None:
    source = mixture()
    described = [source.describe(index) for index in range(6)]
    assert {values["part"] for values in described} == {"noise", "dead_leaves"}
    for index, values in enumerate(described):
        child = source.children[values["part"]]
        assert values == {"part": values["part"], **child.describe(index)}


def test_a_part_hears_of_its_own_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    source = mixture()
    heard: dict[str, list[int]] = {}
    for label, child in source.children.items():
        monkeypatch.setattr(child, "expect", lambda rows, at=label: heard.update({at: rows.tolist()}))
    source.expect(torch.arange(10, 40))
    assert sorted(row for rows in heard.values() for row in rows) == list(range(10, 40))
    assert all(source.describe(index)["part"] == at for at, rows in heard.items() for index in rows)


def test_without_a_front_end_there_is_no_batch() -> None:
    with pytest.raises(UsageError, match="images"):
        mixture().batch([0])


# ---------------------------------------------------------------------------------------------------
# Weights


def test_parts_are_as_frequent_as_their_weights() -> None:
    source = mixture(
        {"a": {"name": "noise", "weight": 5}, "b": {"name": "noise", "weight": 3}, **PICTURE}
    )
    shares = counts(source, torch.arange(20_000))
    assert shares == pytest.approx([5 / 9, 3 / 9, 1 / 9], abs=0.015)  # four standard deviations


def test_a_part_of_no_weight_is_never_drawn() -> None:
    assert counts(mixture({"noise": 0, "dead_leaves": 0.1}), torch.arange(5000)) == [1.0, 0.0]


def test_the_order_of_writing_does_not_matter() -> None:
    forward, backward = (mixture(dict(pairs)) for pairs in (list(PARTS), list(PARTS)[::-1]))
    assert torch.equal(forward.images([0, 1, 2], FRONTEND), backward.images([0, 1, 2], FRONTEND))
    assert forward.identity() == backward.identity()


PARTS = ({**SOUND, **PICTURE}).items()


def test_a_schedule_moves_shares_along_a_line_through_its_numbers() -> None:
    moving = {"noise": {"weight": [1, 0, 0.5]}, "dead_leaves": {"weight": 0.5}}
    source = mixture(moving, horizon=90_000)
    assert source.scheduled
    for progress, wanted in {0.0: 1.0, 0.25: 0.5, 0.5: 0.0, 0.75: 0.25, 1.0: 0.5}.items():
        share = float(source.shares(torch.tensor([progress]))[0, 1])  # noise comes second
        assert share == pytest.approx(wanted / (wanted + 0.5), abs=1e-9)
        near = torch.arange(4000) + min(int(progress * 90_000), 86_000)
        middle = float(source.shares(near.double() / 90_000)[:, 1].mean())
        assert counts(source, near)[1] == pytest.approx(middle, abs=0.035)
    assert counts(source, torch.arange(90_000, 94_000))[1] == pytest.approx(0.5, abs=0.035)


def test_without_a_horizon_parts_are_drawn_by_their_average() -> None:
    source = mixture({"noise": {"weight": [1, 0]}, "dead_leaves": {"weight": [0, 1]}})
    for start in (0, 10**9):
        assert counts(source, torch.arange(start, start + 8000)) == pytest.approx([0.5, 0.5], abs=0.025)


def pool_of(source: Mixture, size: int, tmp_path: Path) -> Pool:
    return open_pool(tmp_path, source, FRONTEND, size)


def test_a_pool_is_replayed_by_the_schedule(tmp_path: Path) -> None:
    source = mixture({**PICTURE, "noise": {"seconds": 0.4, "weight": [4, 0]}})
    pool = pool_of(source, 40, tmp_path)
    stream = Stream(source, FRONTEND, 400, 0, pool, steps=5)
    part = source.parameters(torch.arange(40))["part"]
    shown = [stream.indices(step) for step in range(5)]
    shares = [float((part[rows] == 1).double().mean()) for rows in shown]
    assert shares == pytest.approx([4 / 5, 3 / 4, 2 / 3, 1 / 2, 0.0], abs=0.1)
    assert all(len(rows.unique()) >= (part == 0).sum() for rows in shown[:4])  # all rows of a part
    assert torch.equal(stream.indices(2), Stream(source, FRONTEND, 400, 0, pool, steps=5).indices(2))
    rows = [stream.batch(1, rank, 2, CPU) for rank in range(2)]
    assert torch.equal(torch.cat(rows), stream.batch(1, 0, 1, CPU))


def test_a_pool_without_a_schedule_shows_every_sample_once_in_a_pass(tmp_path: Path) -> None:
    source = mixture()
    stream = Stream(source, FRONTEND, 10, 0, pool_of(source, 20, tmp_path), steps=4)
    visited = torch.cat([stream.indices(step) for step in range(2)])
    assert torch.equal(visited.sort().values, torch.arange(20))


def test_a_schedule_needs_its_length_and_a_pool_its_parts(tmp_path: Path) -> None:
    source = mixture({**PICTURE, "noise": {"seconds": 0.4, "weight": [0, 0, 0, 0, 1e-3]}})
    pool = pool_of(source, 12, tmp_path)
    with pytest.raises(UsageError, match="steps"):
        Stream(source, FRONTEND, 4, 0, pool).indices(0)
    rare = mixture(
        {
            "dead_leaves": {"side": 32, "weight": [1, 1, 0]},
            "noise": {"seconds": 0.4, "weight": [0, 0, 1]},
        }
    )
    pictures = (rare.parameters(torch.arange(400))["part"] == 0).nonzero()[:3, 0]
    with pytest.raises(UsageError, match="pool=null"):
        rare.chances(pictures, 1.0)


# ---------------------------------------------------------------------------------------------------
# The suite around it


def experiment(*words: str) -> Experiment:
    return experiment_of(configure(["source=mixture", *words]))


def test_a_pool_is_keyed_by_everything_that_makes_its_parts() -> None:
    base = mixture()
    others = [
        mixture({**PICTURE, "noise": {"seconds": 0.4, "weight": 2}}),
        mixture({**PICTURE, "noise": {"seconds": 0.4, "colour": "pink"}}),
        mixture({"dead_leaves": {"side": 33}, **SOUND}),
        mixture(seed=1),
    ]
    keys = {pool_path(Path("c"), source, FRONTEND, 8) for source in (base, *others)}
    padded = FrontEnd(bands=24, frames=32, padding="zero_raw")
    kaldi = FrontEnd(bands=24, frames=32, family="kaldi")
    keys |= {pool_path(Path("c"), base, frontend, 8) for frontend in (padded, kaldi)}
    assert len(keys) == 7
    assert pool_path(Path("c"), mixture(cache=Path("x")), FRONTEND, 8) in keys


def test_images_are_standardised_by_their_own_statistics() -> None:
    fixed = FrontEnd(bands=24, frames=32, statistics="fixed", mean=-5.0, std=4.0)
    measured = measure_source(mixture(), fixed, None)
    assert abs(measured.mean) < 0.2
    assert 0.8 < measured.std < 1.2
    with pytest.raises(UsageError, match=r"frontend\.statistics=task"):
        measure_source(mixture(), FrontEnd(bands=24, statistics="source"), None)


def test_only_a_run_of_fresh_samples_tells_time_by_the_index() -> None:
    words = [
        "source.parts={noise: [1, 0], dead_leaves: [0, 1]}",
        "scale.samples_seen=1000",
        "scale.batch=64",
    ]
    fresh = experiment(*words, "pool=null").build_source(Path("data"), Path("cache"))
    pooled = experiment(*words, "pool=64").build_source(Path("data"), Path("cache"))
    assert isinstance(fresh, Mixture)
    assert isinstance(pooled, Mixture)
    assert (fresh.horizon, pooled.horizon) == (960, None)
    assert (fresh.height, fresh.width, pooled.width) == (80, 208, 1024)
    assert fresh.children["dead_leaves"].identity()["width"] == 208


ONE_RUN = (
    ["source.parts={noise: {weight: 3, colour: pink}, dead_leaves: 2}"],
    ["source.parts={dead_leaves: 2.0, noise: {colour: pink, weight: 3.0}}"],
    ["source.parts.noise.colour=pink", "source.parts.noise.weight=3", "source.parts.dead_leaves=2"],
    ["source.parts={noise: 3, dead_leaves: 2}", "source.parts.noise.colour=pink"],
    ["source.parts={noise: {name: noise, colour: pink, seconds: 10.24, weight: 3}, dead_leaves: 2}"],
)


@pytest.mark.parametrize("words", ONE_RUN)
def test_one_mixture_is_one_run_however_it_is_typed(words: list[str]) -> None:
    made = experiment(*words)
    assert made.run_id == experiment(*ONE_RUN[0]).run_id
    assert made.label == "mixture parts={dead_leaves: 2, noise: {colour: pink, weight: 3}}"


def test_a_label_can_be_typed() -> None:
    made = experiment("source.parts={a: {name: noise, colour: pink}, dead_leaves: [1, 0.5]}")
    _, _, field = made.label.partition(" ")
    assert experiment(f"source.{field}").run_id == made.run_id
    assert experiment("source.parts={audiopg: 1, dead_leaves: 1}").label == "mixture"


def test_a_line_of_a_comparison_can_hold_a_mixture() -> None:
    words = comparison.entry_words("source", "mixture 'source.parts={noise: 3, dead_leaves: 2}'")
    made = comparison.cell_of([*words, "seed=1"])
    assert made.experiment.label == "mixture parts={dead_leaves: 2, noise: 3}"
    again = shlex.split(made.command)[2:]
    assert experiment_of(configure(again)).run_id == made.experiment.run_id


def test_folders_of_parts_lie_below_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    made = experiment("source.parts={recordings: {folder: sounds}, noise: 1}")
    source = made.build_source(tmp_path, tmp_path / "cache")
    assert isinstance(source, Mixture)
    assert getattr(source.children["recordings"], "folder") == str(tmp_path / "sounds")  # noqa: B009
    assert getattr(source.children["recordings"], "cache") == tmp_path / "cache"  # noqa: B009


# ---------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("{nois: 1, dead_leaves: 1}", r"source\.parts\.nois: unknown source 'nois'.*'noise'"),
        ("{noise: {color: pink}, dead_leaves: 1}", r"source\.parts\.noise.*'color'.*'colour'"),
        ("{noise: {colour: mauve}, dead_leaves: 1}", r"source\.parts\.noise\.colour='mauve'.*pink"),
        ("{noise: {seconds: 0}, dead_leaves: 1}", r"source\.parts\.noise\.seconds=0"),
        ("{noise: {seed: 1}, dead_leaves: 1}", r"source\.parts\.noise\.seed cannot be set"),
        ("{noise: -1, dead_leaves: 2}", r"source\.parts\.noise\.weight=-1"),
        ("{noise: much, dead_leaves: 2}", r"source\.parts\.noise\.weight='much'"),
        ("{noise: true, dead_leaves: 2}", r"source\.parts\.noise\.weight=True"),
        ("{noise: [], dead_leaves: 2}", r"source\.parts\.noise\.weight=\[\]"),
        ("{noise: 0, dead_leaves: 0}", r"source\.parts are all 0 at 0%"),
        ("{noise: [1, 0], dead_leaves: 0}", r"source\.parts are all 0 at 100%"),
        ("{noise: [1, 0, 1], dead_leaves: [2, 0, 2]}", r"source\.parts are all 0 at 50%"),
        ("{noise: 1}", r"holds noise alone.*source=noise.*source\.parts\.audiopg=1"),
        ("{mixture: 1, noise: 1}", r"source\.parts\.mixture: a mixture holds no mixture"),
        ("{mine: {name: mixture}, noise: 1}", r"source\.parts\.mine: a mixture holds no mixture"),
        (
            "{shuffled_patches: {of: {noise: 2}}, noise: 1}",
            r"source\.parts\.shuffled_patches\.of\.noise=2",
        ),
        ("{}", r"source\.parts={} names no source"),
    ],
)
def test_what_is_no_mixture_is_refused_by_its_key(typed: str, answer: str) -> None:
    with pytest.raises(UsageError, match=answer):
        generators.create("mixture", parts=yaml.safe_load(typed))


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("{nois: 1, dead_leaves: 1}", r"source\.parts\.nois: unknown source 'nois'.*'noise'"),
        ("{noise: {color: pink}, dead_leaves: 1}", r"source\.parts\.noise.*'color'.*'colour'"),
        ("{noise: {colour: mauve}, dead_leaves: 1}", r"source\.parts\.noise\.colour='mauve'.*pink"),
        ("3", r"source\.parts=3 names no source"),
        ("null", r"source\.parts=None names no source"),
        ("{noise: 1", r"cannot understand"),
        ("choice(1,2)", r"expected one value"),
    ],
)
def test_what_is_typed_wrongly_is_refused_by_its_key(typed: str, answer: str) -> None:
    with pytest.raises(UsageError, match=answer):
        experiment(f"source.parts={typed}").build_source(Path("data"), Path("cache"))


def test_a_misspelt_key_is_answered() -> None:
    with pytest.raises(UsageError, match="Did you mean 'parts'"):
        experiment("source.part.noise=1")


def test_a_part_that_is_constant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    source = mixture()
    flat = torch.full((64, 24, 36), 0.25)
    monkeypatch.setattr(source.children["dead_leaves"], "images", lambda rows, *_: flat[: len(rows)])
    with pytest.raises(BadData, match=r"source\.parts\.dead_leaves gives constant"):
        source.images(list(range(8)), FRONTEND)


def test_bands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"source\.parts\.noise has images of 30 bands"):
        mixture().images(list(range(8)), FrontEnd(bands=30))
