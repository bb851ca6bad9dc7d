"""AudioPG's procedural audio: one timbre, a burst, a few events; then filter, noise and level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, Source, white_noise
from ..drawer import UsageError
from . import filters
from .dynamics import Events, add_bursts, place_events

MODES = ("harmonic", "fm", "pulse")
PARTIAL_FACTORS = ("partials", "partial_slope", "partial_gain", "partial_phase", "partial_detune")
TONE_FACTORS = ("f0_hz", *PARTIAL_FACTORS, "fm_index", "fm_ratio")


@dataclass(kw_only=True)
class AudioPG(Source, name="audiopg"):
    """Procedural clips as AudioPG's released path makes them (arXiv 2606.14791; defaults are faithful).

    A base tone (harmonic, frequency-modulated or pulse) of one fundamental runs through the clip; a
    noise burst may be added to it; a few enveloped stretches of it are placed in silence; then an RBJ
    low-pass (hard-clipped to [-1, 1], a quirk), background noise on an absolute scale, and peak 1.

    Kept quirks: f0 is uniform in hertz; nothing guards against aliasing; a burst is heard only where an
    event picks its stretch; noise comes before the level is set; the envelope has no plateau.
    """

    kind = "waveform"
    family = "procedural sound"
    citation = "AudioPG 2026, arXiv 2606.14791"
    speed = "fast"
    needs = "nothing"

    seconds: float = 10.24
    sample_rate: int = 16000
    # base tone
    f0_hz: tuple[float, float] = (50.0, 2000.0)
    p_harmonic: float = 1 / 3
    p_fm: float = 1 / 3
    p_pulse: float = 1 / 3
    p_square: float = 0.5  # of the pulses; the others are saws
    partials: tuple[int, int] = (3, 15)
    partial_slope: tuple[float, float] = (0.5, 1.5)  # amplitude (i + 1)^-slope, one slope per partial
    partial_gain: tuple[float, float] = (0.5, 1.2)
    partial_detune: tuple[float, float] = (0.995, 1.005)
    fm_index: tuple[float, float] = (0.5, 8.0)
    fm_ratios: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.14)
    # transient
    p_transient: float = 0.6
    transient_seconds: tuple[float, float] = (0.01, 0.1)
    transient_gain: tuple[float, float] = (0.5, 2.0)
    # events
    events: tuple[int, int] = (1, 5)
    event_seconds: float = 0.5  # the shortest event; the longest is seconds / number of events
    attack: tuple[float, float] = (0.01, 0.3)  # fractions of the event
    decay: tuple[float, float] = (0.1, 0.4)
    decay_level: float = 0.6
    # post chain
    p_lowpass: float = 0.7
    lowpass_hz: tuple[float, float] = (200.0, 6000.0)
    lowpass_quality: float = 0.707
    lowpass_clip: bool = True  # the released code's filter clamps its output to [-1, 1]
    p_background: float = 1.0
    background_level: tuple[float, float] = (0.001, 0.02)

    def __post_init__(self) -> None:
        if not math.isclose(self.p_harmonic + self.p_fm + self.p_pulse, 1.0, abs_tol=1e-6):
            raise UsageError(
                "source.p_harmonic + source.p_fm + source.p_pulse must be 1, got "
                f"{self.p_harmonic} + {self.p_fm} + {self.p_pulse}. Set all three together."
            )
        shortest = 2.0 * self.transient_seconds[1]
        if self.seconds < shortest:
            raise UsageError(
                f"source.seconds={self.seconds} is too short for transients of up to "
                f"{self.transient_seconds[1]} s. Ask for at least source.seconds={shortest}."
            )
        if self.lowpass_hz[1] >= self.sample_rate / 2:
            raise UsageError(
                f"source.lowpass_hz={self.lowpass_hz} reaches half the sample rate "
                f"({self.sample_rate / 2} Hz). Lower it, or raise source.sample_rate."
            )

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return round(self.seconds * self.sample_rate)

    # ------------------------------------------------------------------------------ drawing

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """All factors, float64, int64 or bool: ``(B,)``, ``(B, partials)`` or ``(B, events)``."""
        draws = Draws(self.seed, indices)
        return {
            **self.draw_tone(draws),
            **self.draw_transient(draws),
            **self.draw_events(draws),
            **self.draw_chain(draws),
        }

    def draw_tone(self, draws: Draws) -> dict[str, Tensor]:
        """Fundamental, mode, and the factors of each mode."""
        most = self.partials[1]
        choice = draws.uniform("mode")
        ratio = torch.tensor(self.fm_ratios, dtype=torch.float64)
        return {
            "f0_hz": draws.uniform("f0", *self.f0_hz),
            "mode": (choice >= self.p_harmonic).long() + (choice >= self.p_harmonic + self.p_fm).long(),
            "partials": draws.integers("partials", *self.partials),
            "partial_slope": draws.uniform("partial_slope", *self.partial_slope, most),
            "partial_gain": draws.uniform("partial_gain", *self.partial_gain, most),
            "partial_phase": draws.uniform("partial_phase", 0.0, 1.0, most),  # cycles
            "partial_detune": draws.uniform("partial_detune", *self.partial_detune, most),
            "fm_index": draws.uniform("fm_index", *self.fm_index),
            "fm_ratio": ratio[draws.integers("fm_ratio", 0, len(ratio) - 1)],
            "square": draws.happens("square", self.p_square).long(),
        }

    def draw_transient(self, draws: Draws) -> dict[str, Tensor]:
        """Whether there is a burst, where it lies in the base tone (samples), and its gain."""
        length = draws.uniform("transient_seconds", *self.transient_seconds) * self.sample_rate
        length = length.long()
        return {
            "transient": draws.happens("transient", self.p_transient),
            "transient_length": length,
            "transient_start": _integer(draws.uniform("transient_start"), self.samples - length),
            "transient_gain": draws.uniform("transient_gain", *self.transient_gain),
            "transient_key": draws.keys("transient_noise"),
        }

    def draw_events(self, draws: Draws) -> dict[str, Tensor]:
        """Number of events and, for each, length, attack, decay, origin and place in samples."""
        most = self.events[1]
        count = draws.integers("events", *self.events)
        longest = (self.seconds / count)[:, None]
        share = draws.uniform("event_seconds", 0.0, 1.0, most)
        length = (self.event_seconds + (longest - self.event_seconds) * share) * self.sample_rate
        length = length.long().clamp(1, self.samples)
        return {
            "events": count,
            "event_length": length,
            "event_attack": (length * draws.uniform("attack", *self.attack, most)).long(),
            "event_decay": (length * draws.uniform("decay", *self.decay, most)).long(),
            "event_origin": _integer(
                draws.uniform("event_origin", 0.0, 1.0, most), self.samples - length
            ),
            "event_place": _integer(
                draws.uniform("event_place", 0.0, 1.0, most), self.samples - length
            ),
        }

    def draw_chain(self, draws: Draws) -> dict[str, Tensor]:
        """Low-pass and background noise."""
        return {
            "lowpass": draws.happens("lowpass", self.p_lowpass),
            "lowpass_hz": draws.uniform("lowpass_hz", *self.lowpass_hz),
            "background": draws.happens("background", self.p_background),
            "background_level": draws.uniform("background_level", *self.background_level),
            "background_key": draws.keys("background_noise"),
        }

    # ------------------------------------------------------------------------------ rendering

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` with peak 1, float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            return self.post_chain(self.before_chain(drawn, device), drawn)

        with dsp.full_precision(device):
            return dsp.in_chunks(render_chunk, parameters, device, on_cpu=4)

    def before_chain(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The placed events, before filter, noise and level: float32 ``(B, samples)``, any level."""
        tone = self.base_tone(drawn, device)
        self.add_transients(tone, drawn)
        names = ("length", "attack", "decay", "origin", "place")
        events = Events(drawn["events"], *(drawn[f"event_{name}"] for name in names))
        return place_events(tone, events, self.decay_level)[:, : self.samples]

    def base_tone(self, drawn: dict[str, Tensor], device: torch.device) -> Tensor:
        """The tone over the clip and a row before and after it: float32 ``(B, rows + 2, 512)``."""
        kinds = (self.harmonic, self.fm, self.saw, self.square)
        number = drawn["mode"] + drawn["square"] * (drawn["mode"] == 2)  # (B,)
        factors = {key: drawn[key].to(device) for key in TONE_FACTORS}
        out = torch.empty(len(number), self.tone_rows, dsp.ROW, device=device)
        for kind, tone in enumerate(kinds):
            for group in dsp.alone((number == kind).nonzero()[:, 0], device):
                if len(group):
                    here = group.to(device)
                    out.index_copy_(0, here, tone({k: v[here] for k, v in factors.items()}))
        return out

    @property
    def tone_rows(self) -> int:
        """Rows of 512 samples of a tone: those of the clip, one before and one after."""
        return -(-self.samples // dsp.ROW) + 2

    def harmonic(self, drawn: dict[str, Tensor]) -> Tensor:
        """Sum of detuned partials with a slope drawn per partial; partials over Nyquist alias."""
        device = drawn["f0_hz"].device
        number = torch.arange(1, self.partials[1] + 1, dtype=torch.float64, device=device)
        amplitude = number ** -drawn["partial_slope"] * drawn["partial_gain"]
        amplitude = amplitude * (number <= drawn["partials"][:, None])
        step = drawn["f0_hz"][:, None] * number * drawn["partial_detune"] / self.sample_rate
        offset = drawn["partial_phase"] - dsp.ROW * step
        return dsp.sum_of_sines(step, amplitude, offset, self.tone_rows)

    def fm(self, drawn: dict[str, Tensor]) -> Tensor:
        """Two-operator frequency modulation of constant index, both phases 0 at time 0."""
        carrier = drawn["f0_hz"] / self.sample_rate
        modulator = carrier * drawn["fm_ratio"]
        offsets = (-dsp.ROW * carrier, -dsp.ROW * modulator)
        return dsp.frequency_modulation(carrier, modulator, drawn["fm_index"], offsets, self.tone_rows)

    def saw(self, drawn: dict[str, Tensor]) -> Tensor:
        """Naive saw of amplitude 1, rising from 0 at time 0."""
        step = drawn["f0_hz"] / self.sample_rate
        return dsp.naive_saw(step, -dsp.ROW * step, self.tone_rows)

    def square(self, drawn: dict[str, Tensor]) -> Tensor:
        """Naive square of amplitude 1."""
        step = drawn["f0_hz"] / self.sample_rate
        return dsp.naive_square(step, -dsp.ROW * step, self.tone_rows)

    def add_transients(self, tone: Tensor, drawn: dict[str, Tensor]) -> None:
        """Add each clip's burst of uniform noise to its tone, in place."""
        clips = drawn["transient"].nonzero()[:, 0]
        if len(clips) == 0:
            return
        longest = int(self.transient_seconds[1] * self.sample_rate) + 1
        burst = white_noise(drawn["transient_key"][clips], longest, tone.device)
        burst = burst * drawn["transient_gain"][clips].float().to(tone.device)[:, None]
        add_bursts(
            tone, burst, clips, drawn["transient_start"][clips], drawn["transient_length"][clips]
        )

    def post_chain(self, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Low-pass (clipped), background noise, peak 1."""
        waveform = self.add_background(self.lowpass(waveform, drawn), drawn)
        return dsp.peak_normalise(waveform)

    def lowpass(self, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The RBJ low-pass on the clips that drew one, clipped where ``lowpass_clip``; in place."""
        for group in dsp.alone(drawn["lowpass"].nonzero()[:, 0], waveform.device):
            if len(group):
                here = group.to(waveform.device)
                cutoff = drawn["lowpass_hz"][group].to(waveform.device) / self.sample_rate
                b, a = filters.lowpass_biquad(cutoff, self.lowpass_quality)
                filtered = filters.filter_biquad(waveform.index_select(0, here), b, a)
                if self.lowpass_clip:
                    filtered.clamp_(-1.0, 1.0)
                waveform.index_copy_(0, here, filtered)
        return waveform

    def add_background(self, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Uniform noise at an absolute level, added in place."""
        level = (drawn["background_level"] * drawn["background"]).float().to(waveform.device)
        noise = white_noise(drawn["background_key"], waveform.shape[1], waveform.device)
        return waveform.addcmul_(noise, level[:, None])

    # ------------------------------------------------------------------------------ describing

    def describe(self, index: int) -> dict[str, Any]:
        """The factors that are heard, in physical units; ``None`` where a stage was not applied."""
        wanted = index if self.size is None else index % self.size
        drawn = self.parameters(torch.tensor([wanted], dtype=torch.int64))
        one: dict[str, Any] = {key: value[0].tolist() for key, value in drawn.items()}
        mode = MODES[one["mode"]]
        events, rate, partials = one["events"], self.sample_rate, one["partials"]
        facts: dict[str, Any] = {"f0_hz": one["f0_hz"], "mode": mode}
        if mode == "harmonic":
            facts["partials"] = partials
            facts["partial_hz"] = [
                one["f0_hz"] * (i + 1) * one["partial_detune"][i] for i in range(partials)
            ]
            facts["partial_amplitude"] = [
                (i + 1) ** -one["partial_slope"][i] * one["partial_gain"][i] for i in range(partials)
            ]
        elif mode == "fm":
            facts["modulation_index"] = one["fm_index"]
            facts["modulator_hz"] = one["f0_hz"] * one["fm_ratio"]
        else:
            facts["shape"] = ("saw", "square")[one["square"]]
        facts["transient_seconds"] = one["transient_length"] / rate if one["transient"] else None
        facts["events"] = events
        facts["onset_seconds"] = [place / rate for place in one["event_place"][:events]]
        facts["event_seconds"] = [length / rate for length in one["event_length"][:events]]
        facts["lowpass_hz"] = one["lowpass_hz"] if one["lowpass"] else None
        facts["background_level"] = one["background_level"] if one["background"] else None
        return facts


def _integer(unit: Tensor, highest: Tensor) -> Tensor:
    """Uniform integers from 0 to ``highest`` (included) from uniform ``unit`` in [0, 1)."""
    return (unit * (highest + 1)).long()
