"""Scenes: events of many kinds laid out in time, with repetition, level differences and silence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source
from ..drawer import UsageError
from ..parts import Parts
from .alphabet import BACKGROUND, LEVEL, alphabet
from .layout import (
    Clip,
    add_rows,
    check_positive,
    check_ranges,
    check_shares,
    decibels,
    drawn_of,
    log_uniform,
    pick_weighted,
    rows_covered,
)
from .reverberation import Shoebox, in_room

AUDIBLE = 0.01  # of an event's peak: it begins where it is first as loud


@dataclass(kw_only=True)
class Scenes(Clip, Shoebox, Source, name="scenes"):
    """Polyphonic scenes: a few events of the alphabet, each heard once or again and again.

    An event is a sound of one of ``primitives``, drawn by weight: its own sample, whose index is drawn
    from (seed, i, event). It lasts ``event_seconds``, at a level in ``level_db``. It may recur
    (``p_repeat``) ``repeats`` times in all, at a period with a jitter, and not always as loud.
    ``silence_share`` of the clip is left empty: what still sounds then is cut. Some scenes are heard
    in a room.

    ``without`` leaves primitives out by name: ``source.without=[plucked]``. Length, number of notes,
    level and background noise are the scene's, so those fields of primitives are refused. Event
    lengths and periods are drawn uniformly in the logarithm, other ranges uniformly.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "ours"
    speed = "moderate"
    needs = "nothing"
    version = 2  # rooms without infrasound

    primitives: Parts = field(
        default_factory=lambda: {
            "audiopg": 1.0,
            "plucked": 1.0,
            "struck": 1.0,
            "sweeps": 1.0,
            "grains": 1.0,
            "formants": 1.0,
            "textures": 0.5,
            "noise": 0.25,
        }
    )
    without: tuple[str, ...] = ()
    events: tuple[int, int] = (3, 7)
    event_seconds: tuple[float, float] = (0.2, 2.0)
    event_notes: tuple[int, int] = (1, 4)  # of primitives that have notes
    level_db: tuple[float, float] = (-25.0, 0.0)
    p_repeat: float = 0.5
    repeats: tuple[int, int] = (2, 8)
    period_seconds: tuple[float, float] = (0.15, 2.0)
    period_jitter: float = 0.05  # standard deviation, in periods
    repeat_level_db: float = 2.0  # standard deviation
    silence_share: tuple[float, float] = (0.0, 0.3)
    fade_seconds: tuple[float, float] = (0.002, 0.03)  # at an event's beginning and end
    p_room: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_room()
        check_ranges(self, "events", "event_notes", "repeats", lowest=1)
        check_ranges(self, "level_db", highest=0.0)
        check_positive(self, "event_seconds", "period_seconds", "fade_seconds")
        check_ranges(self, "silence_share", lowest=0.0, highest=0.9)
        check_shares(self, "p_repeat", "p_room")
        given = {
            "seconds": self.longest,
            "sample_rate": self.sample_rate,
            "peak_db": (0.0, 0.0),
            "p_background": 0.0,
            "notes": self.event_notes,
            "voices": (1, 1),
            "first_onset": (0.0, 0.0),
        }
        for label in self.without:
            if label not in self.primitives:
                raise UsageError(
                    f"source.without={list(self.without)}: {label!r} is none of the primitives "
                    f"({', '.join(self.primitives)})."
                )
        kept = {label: part for label, part in self.primitives.items() if label not in self.without}
        instead = {
            "seconds": "source.event_seconds=[0.2,2]",
            "sample_rate": "source.sample_rate=16000",
            "notes": "source.event_notes=[1,4]",
            "voices": "source.events=[3,7]",
            "first_onset": "",
            **dict.fromkeys(LEVEL, "source.level_db=[-25,0]"),
            **dict.fromkeys(BACKGROUND, "source.p_background=0.8 and source.background_db=[-80,-40]"),
        }
        self.alphabet = alphabet(kept, self, "source.primitives", given, instead)

    @property
    def longest(self) -> float:
        """Seconds of the longest event."""
        return min(max(self.event_seconds[1], 0.5), self.seconds)

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Events ``(B, E)`` and their occurrences ``(B, E, R)`` in samples; a level of -inf: none."""
        draws, most, times = Draws(self.seed, indices), self.events[1], self.repeats[1]
        count = draws.integers("events", *self.events)
        seconds = log_uniform(draws, "event_seconds", self.event_seconds, most).clamp_max(self.longest)
        repeats = draws.integers("repeats", *self.repeats, most)
        repeats = torch.where(draws.happens("repeat", self.p_repeat, most), repeats, 1)
        period = log_uniform(draws, "period_seconds", self.period_seconds, most)
        silence = draws.uniform("silence_share", *self.silence_share)
        # time is laid out on a ring: from the end of the silence round to its start
        busy = ((1.0 - silence) * self.seconds)[:, None]  # (B, 1)
        start = draws.uniform("start", 0.0, 1.0, most) * (busy - 0.5 * seconds).clamp_min(0.0)
        start[:, 0] *= 0.5  # one event is never all in the last moments
        number = torch.arange(times)
        shift = draws.normal("period_jitter", most, times) * self.period_jitter * (number > 0)
        onset = start[:, :, None] + (number + shift) * period[:, :, None]
        onset = onset.clamp_min(0.0)
        change = draws.normal("repeat_level_db", most, times) * self.repeat_level_db * (number > 0)
        level = draws.uniform("level_db", *self.level_db, most)[:, :, None] + change
        happens = (number < repeats[:, :, None]) & (torch.arange(most) < count[:, None])[:, :, None]
        happens &= onset < busy[:, :, None] - self.fade_seconds[0]
        silent_at = draws.uniform("silent_at", 0.0, self.seconds)
        place = (onset + (silent_at + silence * self.seconds)[:, None, None]) % self.seconds
        length = seconds[:, :, None].minimum(busy[:, :, None] - onset).minimum(self.seconds - place)
        return {
            "events": count,
            "primitive": pick_weighted(draws, "primitive", self.alphabet.weights, most),
            "sample": draws.bits("sample", most) & 0xFFFFFFFFFF,
            "event_seconds": seconds,
            "onset": (place * self.sample_rate).long().clamp_max(self.samples - 1),
            "length": (length * self.sample_rate).ceil().long().clamp_min(1),
            "level_db": torch.where(happens, level, -math.inf),
            "silence_share": silence,
            "silent_seconds": silent_at,
            "room": draws.happens("room", self.p_room),
            **self.draw_room(draws),
            **self.draw_level(draws),
        }

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_one(drawn: dict[str, Tensor]) -> Tensor:
            scene = self.place(drawn, device)
            chosen = drawn["room"].nonzero()[:, 0]
            if len(chosen):
                room = {
                    key: value[chosen].to(device)
                    for key, value in drawn.items()
                    if key not in ("sound", "begin")
                }
                chosen = chosen.to(device)
                scene[chosen] = in_room(scene[chosen], room, self.seconds, self.sample_rate)
            return self.set_level(scene, drawn)

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            clip, event = (drawn["level_db"].amax(dim=2) > -math.inf).nonzero(as_tuple=True)
            heard = self.alphabet.sounds(
                drawn["primitive"][clip, event], drawn["sample"][clip, event], device
            )
            heard = dsp.peak_normalise(heard)
            here, samples = (clip.to(device), event.to(device)), heard.shape[1]
            shape = drawn["primitive"].shape
            begin = torch.zeros(shape, dtype=torch.int64, device=device)
            begin[here] = (heard.abs() > AUDIBLE).byte().argmax(dim=1)
            # between rows of silence, so that a row that an event touches can be read whole
            sound = heard.new_zeros(*shape, samples + 2 * dsp.ROW)  # (B, E, n)
            sound[(*here, slice(dsp.ROW, dsp.ROW + samples))] = heard
            return dsp.in_chunks(render_one, {**drawn, "sound": sound, "begin": begin}, device)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_cpu=32)

    def place(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """All occurrences at their places and levels, float32 ``(B, samples)``."""
        batch, most, size = drawn["sound"].shape
        windows = drawn["sound"].view(-1)
        windows = windows.as_strided((len(windows) - dsp.ROW + 1, dsp.ROW), (1, 1))
        clip, event, number = (
            index.to(device) for index in (drawn["level_db"] > -math.inf).nonzero(as_tuple=True)
        )
        onset, length, level = (
            drawn[key].to(device)[clip, event, number] for key in ("onset", "length", "level_db")
        )
        begin = drawn["begin"].to(device)[clip, event]
        length = length.minimum(size - 2 * dsp.ROW - begin)
        rows = rows_covered(clip, onset, length, self.rows)
        origin = (clip * most + event) * size + dsp.ROW + begin  # (O,)
        heard = windows.index_select(0, origin[rows.owner] + rows.since)
        time = rows.since[:, None] + torch.arange(dsp.ROW, device=device)
        fade_in, fade_out = (seconds * self.sample_rate for seconds in self.fade_seconds)
        # the first sample is heard in full where the fade is shorter than one
        opened = (time + 1).float().div_(max(fade_in, 1.0)).clamp_(0.0, 1.0)
        opened *= time >= 0
        closed = (length[rows.owner, None] - time).float().div_(max(fade_out, 1.0)).clamp_(0.0, 1.0)
        heard *= opened.mul_(closed).mul_(decibels(level).float()[rows.owner, None])
        out = torch.zeros(batch * self.rows, dsp.ROW, device=device)
        add_rows(out, rows.target, heard)
        return out.view(batch, -1)[:, : self.samples]

    def describe(self, index: int) -> dict[str, Any]:
        """Primitives, silence, room and level; then every event: onsets, levels and own factors."""
        one = drawn_of(self, index)
        events = []
        for number in range(one["events"]):
            levels = one["level_db"][number]
            kept = [occurrence for occurrence, level in enumerate(levels) if level > -math.inf]
            primitive = one["primitive"][number]
            events.append(
                {
                    "primitive": self.alphabet.labels[primitive],
                    "onset_seconds": [one["onset"][number][k] / self.sample_rate for k in kept],
                    "seconds": [one["length"][number][k] / self.sample_rate for k in kept],
                    "level_db": [levels[k] for k in kept],
                    "factors": self.alphabet.children[primitive].describe(one["sample"][number]),
                }
            )
        return {
            "primitives": [event["primitive"] for event in events],
            "silence_share": one["silence_share"],
            "silence_begins_seconds": one["silent_seconds"],
            **(self.describe_room(one) if one["room"] else {"room_m": None}),
            **self.describe_level(one),
            "events": events,
        }

    def identity(self) -> dict[str, Any]:
        """Its own fields, and the identities of the primitives."""
        return {**super().identity(), "primitives": self.alphabet.identities()}
