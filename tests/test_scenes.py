"""Scenes against their descriptions: every event where, when and as loud as it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import generators
from generators.drawer import UsageError

RATE = 16000
DRY = {"p_room": 0.0, "p_background": 0.0, "seconds": 2.0, "peak_db": (0.0, 0.0)}


def test_a_clip_is_its_described_events_added_up() -> None:
    source = generators.create("scenes", **DRY, primitives={"struck": 1, "noise": 1, "sweeps": 2})
    given = {"seconds": 2.0, "peak_db": (0.0, 0.0), "p_background": 0.0, "notes": (1, 4)}
    given |= {"voices": (1, 1), "first_onset": (0.0, 0.0)}
    children = {
        name: generators.create(name, **(given if name != "noise" else {"seconds": 2.0}))
        for name in ("struck", "noise", "sweeps")
    }
    for index in range(2):
        drawn = source.parameters(torch.tensor([index]))
        expected = np.zeros(source.samples + 2 * RATE)
        for number, event in enumerate(source.describe(index)["events"]):
            sound = (
                children[event["primitive"]].sample(int(drawn["sample"][0, number])).double().numpy()
            )
            sound /= np.abs(sound).max()
            sound = sound[np.flatnonzero(np.abs(sound) > 0.01)[0] :]
            told = zip(event["onset_seconds"], event["seconds"], event["level_db"], strict=True)
            for onset, seconds, level in told:
                start, length = round(onset * RATE), min(round(seconds * RATE), len(sound))
                time = np.arange(length)
                gate = np.clip((time + 1) / 32, 0, 1) * np.clip((length - time) / 480, 0, 1)
                expected[start : start + length] += sound[:length] * gate * 10 ** (level / 20)
        expected = expected[: source.samples]
        expected /= np.abs(expected).max()
        assert np.abs(source.sample(index).numpy() - expected).max() < 1e-4


def test_the_silence_is_silent_and_as_long_as_drawn() -> None:
    source = generators.create("scenes", **DRY, silence_share=(0.3, 0.3))
    for index in range(3):
        told = source.describe(index)
        sound = source.sample(index).numpy()
        begin = told["silence_begins_seconds"] * RATE
        inside = (np.arange(len(sound)) - begin) % len(sound)
        quiet = (inside > 2) & (inside < 0.3 * len(sound) - 2)
        assert quiet.sum() > 0.29 * len(sound)
        assert not sound[quiet].any()


def test_events_recur_at_their_period() -> None:
    fields = {**DRY, "silence_share": (0.0, 0.0), "period_jitter": 0.0, "p_repeat": 1.0}
    source = generators.create(
        "scenes", **fields, repeats=(4, 4), period_seconds=(0.25, 0.25), repeat_level_db=0.0
    )
    seen = 0
    for index in range(10):
        for event in source.describe(index)["events"]:
            onsets = np.array(event["onset_seconds"])
            assert 1 <= len(onsets) <= 4
            assert np.diff(onsets) % 2.0 == pytest.approx(0.25, abs=2 / RATE)
            assert len(set(event["level_db"])) == 1
            seen += len(onsets) == 4
    assert seen > 10


def test_repetition_happens_as_often_as_it_should_and_not_all_alike() -> None:
    drawn = generators.create("scenes", p_repeat=0.25, events=(4, 4)).parameters(torch.arange(600))
    again = (drawn["level_db"][:, :, 1:] > -np.inf).any(dim=2).double()
    # an event near the end of the clip finds no room to recur
    assert 0.17 < float(again.mean()) < 0.25 + 4 * (0.1875 / again.numel()) ** 0.5
    both = drawn["level_db"][:, :, 1] > -np.inf
    change = (drawn["level_db"][:, :, 1] - drawn["level_db"][:, :, 0])[both]
    assert float(change.std()) == pytest.approx(2.0, rel=0.1)


def test_events_differ_in_level_and_number() -> None:
    source = generators.create("scenes", level_db=(-20.0, -5.0), events=(2, 5))
    drawn = source.parameters(torch.arange(500))
    first = drawn["level_db"][:, :, 0]
    heard = first[first > -np.inf]
    assert -20.0 <= float(heard.min()) < -19.8
    assert -5.2 < float(heard.max()) <= -5.0
    assert set(drawn["events"].tolist()) == {2, 3, 4, 5}
    assert torch.equal((first > -np.inf).sum(dim=1), drawn["events"])


def test_primitives_come_by_weight_and_can_be_left_out() -> None:
    source = generators.create("scenes", primitives={"plucked": 3, "grains": 1, "noise": 0})
    number = source.parameters(torch.arange(500))["primitive"].flatten()
    share = float((number == source.alphabet.labels.index("plucked")).double().mean())
    assert share == pytest.approx(0.75, abs=4 * (0.1875 / len(number)) ** 0.5)
    assert set(source.alphabet.labels) == {"plucked", "grains"}
    fewer = generators.create("scenes", without=("plucked", "noise"))
    assert "plucked" not in fewer.alphabet.labels
    assert "struck" in fewer.alphabet.labels


def test_one_kind_may_come_twice_with_other_fields() -> None:
    primitives = {"low": {"name": "plucked", "f0_hz": (60.0, 80.0)}, "high": {"name": "plucked"}}
    source = generators.create("scenes", **DRY, primitives=primitives)
    told = [event for index in range(8) for event in source.describe(index)["events"]]
    low = [
        hertz for event in told if event["primitive"] == "low" for hertz in event["factors"]["note_hz"]
    ]
    assert len(low) > 3
    assert max(low) <= 80.0


def test_some_scenes_are_heard_in_a_room() -> None:
    source = generators.create("scenes", p_room=0.4, seconds=2.0)
    drawn = source.parameters(torch.arange(500))
    assert float(drawn["room"].double().mean()) == pytest.approx(0.4, abs=4 * (0.24 / 500) ** 0.5)
    index = int(drawn["room"].nonzero()[0, 0])
    dry = generators.create("scenes", p_room=0.0, seconds=2.0)
    assert source.describe(index)["rt60_seconds"] > 0.0
    assert dry.describe(index)["room_m"] is None
    assert not torch.equal(source.sample(index), dry.sample(index))


def test_other_seeds_hear_other_samples_of_the_primitives() -> None:
    first, second = (
        generators.create("scenes", seed=seed).parameters(torch.arange(3)) for seed in (0, 1)
    )
    assert not torch.equal(first["sample"], second["sample"])
    assert len(torch.unique(first["sample"])) == first["sample"].numel()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"primitives": {}}, "names no source"),
        ({"primitives": {"mixture": 1}}, "no sound"),
        ({"primitives": {"plucked": -1}}, "weight"),
        ({"without": ("pluked",)}, "pluked"),
        ({"primitives": {"noise": 1}, "without": ("noise",)}, "names no source"),
        ({"primitives": {"grains": {"seconds": 2.0}}}, r"grains.seconds .*Type source.event_seconds="),
        (
            {"primitives": {"a": {"name": "audiopg", "level": "rms"}}},
            r"a.level .*Type source.level_db=",
        ),
        ({"primitives": {"audiopg": {"background_level": (0.0, 0.1)}}}, r"Type source.p_background="),
        ({"primitives": {"plucked": {"notes": (2, 3)}}}, r"Type source.event_notes="),
        ({"primitives": {"plucked": {"first_onset": (0.0, 1.0)}}}, "Leave it out"),
        ({"seconds": float("inf")}, "seconds=inf: expected a finite number"),
        ({"level_db": (float("nan"), 0.0)}, "expected a finite number"),
        ({"events": (0, 2)}, "events"),
        ({"silence_share": (0.0, 1.0)}, "silence_share"),
        ({"p_repeat": 1.5}, "p_repeat"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        generators.create("scenes", **fields)
