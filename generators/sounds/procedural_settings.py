"""What can be set of AudioPG's procedural audio: every field, its unit, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from ..drawer import UsageError

# The primitives in the order of their numbers, by the family that a first draw decides.
FAMILIES = (
    ("harmonic",),
    ("fm",),
    ("square", "saw", "triangle"),
    ("white_noise", "pink_noise", "brown_noise"),
)
KINDS = tuple(kind for family in FAMILIES for kind in family)

# Pairs (lowest, highest): within these bounds, both included.
BOUNDS = {
    "f0_hz": (1e-3, math.inf),
    "partials": (1, 1000),
    "partial_slope": (-10.0, 10.0),
    "partial_gain": (0.0, math.inf),
    "partial_detune": (1e-3, math.inf),
    "partial_phase": (-1.0, 1.0),
    "fm_index": (0.0, 100.0),
    "transient_seconds": (0.0, math.inf),
    "transient_gain": (0.0, math.inf),
    "voices": (1, 64),
    "events": (1, 1000),
    "attack": (0.0, 1.0),
    "decay": (0.0, 1.0),
    "decay_level": (0.0, 1.0),
    "adsr_attack_seconds": (0.0, math.inf),
    "adsr_decay_seconds": (0.0, math.inf),
    "adsr_sustain_level": (0.0, 1.0),
    "adsr_release_seconds": (0.0, math.inf),
    "lowpass_hz": (1e-3, math.inf),
    "background_level": (0.0, math.inf),
    "background_snr_db": (-200.0, 200.0),
    "rms_db": (-200.0, 0.0),
    "gain": (0.0, math.inf),
}


@dataclass(kw_only=True)
class ProceduralSettings:
    """Fields of the procedural sounds; defaults and section numbers are those of arXiv 2606.14791.

    Pairs are the lowest and the highest value of a uniform draw; a weight of 0 leaves a primitive out
    and p_... = 0 a rule. Numbers in brackets are sections of the suite's specification of AudioPG;
    "ours" marks what AudioPG does not have.
    """

    seconds: float = 10.24  # of a clip (1.1)
    sample_rate: int = 16000  # Hz (1.1)
    # what sounds: relative weights of the primitives (1.2 B; triangle and noises 1.4, unused there)
    harmonic: float = 1.0
    fm: float = 1.0
    saw: float = 0.5
    square: float = 0.5
    triangle: float = 0.0
    white_noise: float = 0.0  # normal, unit variance
    pink_noise: float = 0.0  # Voss and McCartney, 20 rows, peak 1
    brown_noise: float = 0.0  # running sum of white noise, peak 1: mostly under 20 Hz
    # pitch
    f0_hz: tuple[float, float] = (50.0, 2000.0)  # fundamental (1.2 A)
    pitch_prior: Literal["linear", "log"] = "linear"  # uniform in Hz (1.2 A), or in octaves (7, line 4)
    aliasing: bool = True  # false: nothing over half the sample rate is made (7, line 3)
    # harmonic tones (1.2 B)
    partials: tuple[int, int] = (3, 15)  # how many
    partial_slope: tuple[float, float] = (0.5, 1.5)  # g of the amplitude i^-g of partial i
    slope_per_partial: bool = True  # false: one slope for all partials of a tone (1.4)
    partial_gain: tuple[float, float] = (0.5, 1.2)  # factor of the amplitude
    partial_detune: tuple[float, float] = (0.995, 1.005)  # factor of the frequency
    partial_phase: tuple[float, float] = (0.0, 1.0)  # turns
    # frequency modulation (1.2 B)
    fm_index: tuple[float, float] = (0.5, 8.0)  # radians
    fm_ratios: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.14)  # modulator / carrier
    # transient: a noise burst added to a tone, heard where an event picks its stretch (1.2 C)
    p_transient: float = 0.6
    transient_seconds: tuple[float, float] = (0.01, 0.1)
    transient_gain: tuple[float, float] = (0.5, 2.0)
    # events: enveloped stretches of the tone, placed in silence (1.2 D)
    voices: tuple[int, int] = (1, 1)  # of a clip, each with its tone and its events (7, line 4)
    timbre_per_event: bool = False  # true: every event has a tone of its own (7, line 4)
    events: tuple[int, int] = (1, 5)  # of a voice
    event_seconds: float = 0.5  # the shortest; the longest is seconds / number of events
    p_silence: float = 0.0  # clips without any event (ours)
    envelope: Literal["falling", "adsr", "none"] = "falling"  # falling: no plateau (1.2 D); adsr (1.4)
    attack: tuple[float, float] = (0.01, 0.3)  # falling: fraction of the event
    decay: tuple[float, float] = (0.1, 0.4)  # falling: fraction of the event
    decay_level: tuple[float, float] = (0.6, 0.6)  # falling: where the decay ends and the fall begins
    adsr_attack_seconds: tuple[float, float] = (0.01, 0.3)  # shortened together where they do not fit
    adsr_decay_seconds: tuple[float, float] = (0.1, 0.4)
    adsr_sustain_level: tuple[float, float] = (0.3, 0.8)
    adsr_release_seconds: tuple[float, float] = (0.1, 0.5)
    p_roll: float = 0.0  # rotating the clip in time by a uniform number of samples (1.4: 0.5)
    # low-pass: RBJ biquad (1.2 E1)
    p_lowpass: float = 0.7
    lowpass_hz: tuple[float, float] = (200.0, 6000.0)
    lowpass_quality: float = 0.707  # Q
    lowpass_clip: bool = True  # the filter's output is cut to [-1, 1]
    # background noise (1.2 E2)
    p_background: float = 1.0
    background: Literal["uniform", "gaussian"] = "uniform"  # gaussian: 1.4
    background_scale: Literal["absolute", "snr"] = "absolute"  # snr: relative to the clip (7, line 5)
    background_level: tuple[float, float] = (0.001, 0.02)  # absolute: largest value, or deviation
    background_snr_db: tuple[float, float] = (20.0, 60.0)  # snr: clip over noise, by RMS (ours)
    # level (1.2 E3)
    level: Literal["peak", "rms", "none"] = "peak"  # rms, none: lowered where the peak would exceed 1
    rms_db: tuple[float, float] = (-40.0, -15.0)  # rms: dB below full scale (ours)
    p_gain: float = 0.0  # a factor on the finished clip, cut to [-1, 1] (1.4: 0.5)
    gain: tuple[float, float] = (0.8, 1.2)

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.name in BOUNDS:
                refuse_pair(
                    setting.name, value, BOUNDS[setting.name], getattr(type(self), setting.name)
                )
            if setting.name.startswith("p_") and not 0.0 <= value <= 1.0:
                raise UsageError(
                    f"source.{setting.name}={value} is no probability. Type a number from 0 to 1, for "
                    f"example source.{setting.name}=0.5."
                )
        weights = {kind: getattr(self, kind) for kind in KINDS}
        for kind, weight in weights.items():
            if not 0.0 <= weight < math.inf:
                raise UsageError(
                    f"source.{kind}={weight} is no weight. Type 0 to leave it out, or a positive "
                    f"number, for example source.{kind}=1."
                )
        if sum(weights.values()) == 0.0:
            raise UsageError(
                f"source.{' = source.'.join(KINDS)} = 0: nothing is left to sound. Give one of them a "
                "positive weight, for example source.harmonic=1."
            )
        self._refuse_frequencies()
        self._refuse_times()

    def _refuse_frequencies(self) -> None:
        nyquist = self.sample_rate / 2
        for field in ("f0_hz", "lowpass_hz"):
            low, high = getattr(self, field)
            if high >= nyquist:
                raise UsageError(
                    f"source.{field}=[{low},{high}] reaches half the sample rate ({nyquist} Hz). Lower "
                    f"it, for example source.{field}=[{min(low, nyquist / 4)},{nyquist / 2}], or raise "
                    "source.sample_rate."
                )
        if not self.fm_ratios or min(self.fm_ratios) <= 0.0:
            raise UsageError(
                f"source.fm_ratios={list(self.fm_ratios)}: expected one or more positive ratios. Type "
                "for example source.fm_ratios=[0.5,1,2], and source.fm=0 to leave the primitive out."
            )
        if self.lowpass_quality <= 0.0:
            raise UsageError(
                f"source.lowpass_quality={self.lowpass_quality}: expected a positive Q. Type for "
                "example source.lowpass_quality=0.707."
            )

    def _refuse_times(self) -> None:
        if self.samples < 64:
            raise UsageError(
                f"source.seconds={self.seconds} is under 64 samples at {self.sample_rate} Hz. Ask for "
                "a longer clip, for example source.seconds=2.08."
            )
        if self.event_seconds <= 0.0:
            raise UsageError(
                f"source.event_seconds={self.event_seconds}: expected a positive length. Type for "
                "example source.event_seconds=0.5."
            )
        longest = self.transient_seconds[1]
        if self.p_transient > 0.0 and self.seconds < 2.0 * longest:
            raise UsageError(
                f"source.seconds={self.seconds} is too short for transients of up to {longest} s. Ask "
                f"for at least source.seconds={2.0 * longest}, or type source.p_transient=0."
            )
        if self.envelope == "falling" and self.attack[1] + self.decay[1] > 1.0:
            raise UsageError(
                f"source.attack={list(self.attack)} and source.decay={list(self.decay)} can exceed the "
                "event together: they are fractions of it. Type for example source.attack=[0.01,0.3]."
            )

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def most_events(self) -> int:
        """The most events one clip can have, of all its voices together (M)."""
        return self.voices[1] * self.events[1]

    @property
    def most_tones(self) -> int:
        """The most different tones one clip can have (S)."""
        return self.most_events if self.timbre_per_event else self.voices[1]


def refuse_pair(
    field: str, pair: tuple[float, float], bounds: tuple[float, float], example: tuple[float, float]
) -> None:
    """Raise :class:`UsageError` unless bounds[0] <= pair[0] <= pair[1] <= bounds[1], all finite."""
    low, high = pair
    if bounds[0] <= low <= high <= bounds[1] and math.isfinite(low) and math.isfinite(high):
        return
    within = f"at least {bounds[0]}" if bounds[1] == math.inf else f"from {bounds[0]} to {bounds[1]}"
    raise UsageError(
        f"source.{field}=[{low},{high}]: expected the lowest, then the highest value, {within}. "
        f"Type for example source.{field}=[{example[0]},{example[1]}]."
    )
