"""What clips of the sound alphabet share: when notes begin, how loud they are, level, noise floor.

``B`` is the batch, ``M`` the most notes of a clip, ``V`` the most voices. A voice is one instrument of
a clip: its notes share their timbre, so a clip holds repetition (the same thing heard again) as well as
change (another pitch, another level, another voice).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import dsp
from ..base import Draws, white_noise
from ..drawer import UsageError

LAST_ONSET = 0.95  # of the clip: a note that starts later would hardly be heard


@dataclass(kw_only=True)
class Clip:
    """Length, level and noise floor of a clip: the fields and rules of every sound of the alphabet."""

    seconds: float = 10.24
    sample_rate: int = 16000
    peak_db: tuple[float, float] = (-12.0, 0.0)  # the loudest sample, relative to full scale
    p_background: float = 0.8  # of the clips: white noise from end to end
    background_db: tuple[float, float] = (-80.0, -40.0)  # its peak, relative to the clip's

    def __post_init__(self) -> None:
        if not self.samples >= dsp.ROW:
            raise UsageError(
                f"source.seconds={self.seconds} at source.sample_rate={self.sample_rate} is under "
                f"{dsp.ROW} samples. Ask for a longer clip, for example source.seconds=2.08."
            )
        check_ranges(self, "peak_db", "background_db", highest=0.0)
        check_shares(self, "p_background")

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def rows(self) -> int:
        """Rows of 512 samples that cover a clip."""
        return -(-self.samples // dsp.ROW)

    def draw_level(self, draws: Draws) -> dict[str, Tensor]:
        """Peak and background of each clip, ``(B,)``."""
        return {
            "peak_db": draws.uniform("peak_db", *self.peak_db),
            "background": draws.happens("background", self.p_background),
            "background_db": draws.uniform("background_db", *self.background_db),
            "background_key": draws.keys("background_noise"),
        }

    def set_level(self, waveform: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The clip's peak and its background noise; changes ``waveform`` (B, n) in place.

        The sum of both peaks, not that of the sum, is the drawn level.
        """
        device = waveform.device
        floor = (decibels(drawn["background_db"]) * drawn["background"]).float()[:, None].to(device)
        level = decibels(drawn["peak_db"]).float()[:, None].to(device) / (1.0 + floor)
        high, low = waveform.amax(dim=1, keepdim=True), waveform.amin(dim=1, keepdim=True)
        peak = torch.maximum(high, -low).clamp_min_(torch.finfo(torch.float32).tiny)
        # below 1 by more than rounding, so that no sample is over full scale
        waveform.mul_((level * (1.0 - 1e-6) / peak).clamp_max_(torch.finfo(torch.float32).max))
        if bool(drawn["background"].any()):
            noise = white_noise(drawn["background_key"], waveform.shape[1], device)
            waveform.addcmul_(noise, floor * level)
        return waveform

    def describe_level(self, one: dict[str, Any]) -> dict[str, Any]:
        """Level of the peak, and of the background noise (``None`` where there is none)."""
        background = one["background_db"] if one["background"] else None
        return {"peak_db": one["peak_db"], "background_db": background}


@dataclass(kw_only=True)
class Notes(Clip):
    """Notes of a few voices laid out in time: on a beat or at random, repeated or moving in pitch.

    Half of the clips place their notes on a beat (equal intervals with a jitter), the others uniformly
    in time. Every note belongs to one of the clip's voices. The notes of a voice that moves differ in
    pitch by a normal number of semitones; those of the others repeat.
    """

    notes: tuple[int, int] = (3, 10)
    voices: tuple[int, int] = (1, 3)
    first_onset: tuple[float, float] = (0.0, 0.5)  # seconds
    p_beat: float = 0.5  # of the clips: notes on a beat
    beat_jitter: float = 0.05  # standard deviation, in beats
    level_db: tuple[float, float] = (-20.0, 0.0)  # of a note, relative to the loudest possible
    p_moves: float = 0.6  # of the voices: notes differ in pitch
    move_semitones: float = 5.0  # standard deviation of such a note from its voice's pitch

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "notes", "voices", lowest=1)
        check_ranges(self, "first_onset", lowest=0.0)
        check_ranges(self, "level_db", highest=0.0)
        check_shares(self, "p_beat", "p_moves")

    def draw_notes(self, draws: Draws) -> dict[str, Tensor]:
        """Number of notes ``(B,)``, and voice, onset, level and pitch step of each, ``(B, M)``."""
        most, voices = self.notes[1], self.voices[1]
        count = draws.integers("notes", *self.notes)
        voice = draws.uniform("voice", 0.0, 1.0, most) * draws.integers("voices", *self.voices)[:, None]
        voice = voice.long()
        moves = draws.happens("moves", self.p_moves, voices).gather(1, voice)
        return {
            "notes": count,
            "voice": voice,
            "onset": self.draw_onsets(draws, count),
            "level_db": draws.uniform("level_db", *self.level_db, most),
            "step_semitones": draws.normal("step_semitones", most) * self.move_semitones * moves,
            **self.draw_level(draws),
        }

    def draw_onsets(self, draws: Draws, count: Tensor) -> Tensor:
        """Onsets in samples, int64 ``(B, M)``, in order; the clip's end where no note happens."""
        most = self.notes[1]
        number = torch.arange(most)
        happens = number < count[:, None]
        first = draws.uniform("first_onset", *self.first_onset).clamp_max(0.5 * self.seconds)[:, None]
        room = LAST_ONSET * self.seconds - first
        anywhere = draws.uniform("onset", 0.0, 1.0, most)
        anywhere[:, 0] = 0.0  # the first note begins at the first onset
        anywhere = anywhere.masked_fill(~happens, 2.0).sort(dim=1).values * room
        beat = room / count[:, None] * draws.uniform("beat", 0.3, 1.0)[:, None]
        jitter = draws.normal("beat_jitter", most) * self.beat_jitter
        jitter[:, 0] = 0.0
        regular = ((number + jitter) * beat).clamp_min(0.0)
        on_beat = draws.happens("on_beat", self.p_beat)[:, None]
        onset = (torch.where(on_beat, regular, anywhere) + first) * self.sample_rate
        return onset.long().masked_fill(~happens, self.samples).clamp_max(self.samples)

    def per_note(self, of_voice: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """A factor of voices ``(B, V)`` for each note ``(B, M)``."""
        return of_voice.gather(1, drawn["voice"])

    def note_pitch(self, of_voice: Tensor, drawn: dict[str, Tensor], limits: Any) -> Tensor:
        """Pitch of each note ``(B, M)``: its voice's, moved by the note's step, kept in ``limits``."""
        pitch = self.per_note(of_voice, drawn) * torch.exp2(drawn["step_semitones"] / 12.0)
        return pitch.clamp(*limits)

    def describe_notes(self, one: dict[str, Any]) -> dict[str, Any]:
        """Voice, onset and level of the notes that happen; then the clip's level."""
        count = one["notes"]
        return {
            "notes": count,
            "onset_seconds": [start / self.sample_rate for start in one["onset"][:count]],
            "voice": one["voice"][:count],
            "level_db": one["level_db"][:count],
            **self.describe_level(one),
        }


def decibels(level: Tensor) -> Tensor:
    """The amplitude of a level in decibels."""
    return torch.pow(10.0, level / 20.0)


def log_uniform(draws: Draws, factor: str, limits: tuple[float, float], *shape: int) -> Tensor:
    """Uniform in the logarithm between two positive limits, float64 ``(B, *shape)``."""
    low, high = limits
    return low * torch.pow(high / low, draws.uniform(factor, 0.0, 1.0, *shape))


def drawn_of(source: Any, index: int) -> dict[str, Any]:
    """The drawn factors of one sample as plain numbers and lists; ``size`` is respected."""
    drawn = source.parameters(source.distinct([index]))
    return {key: value[0].tolist() for key, value in drawn.items()}


@dataclass(frozen=True)
class Rows:
    """The rows of 512 samples that stretches of sound cover, (R,) each, one stretch after the other."""

    owner: Tensor  # number of the stretch
    target: Tensor  # row of the batch, clip * rows + row
    since: Tensor  # time within the stretch at the row's first sample, in samples; may be negative


def rows_covered(clip: Tensor, onset: Tensor, length: Tensor, rows: int) -> Rows:
    """Rows of stretches (E,) that start at sample ``onset`` of ``clip``; none beyond its end."""
    length = torch.minimum(length, rows * dsp.ROW - onset).clamp_min(0)
    first = onset // dsp.ROW
    count = torch.where(length > 0, (onset + length - 1) // dsp.ROW - first + 1, 0)
    owner = torch.repeat_interleave(torch.arange(len(clip), device=clip.device), count)
    row = torch.arange(len(owner), device=clip.device) + (first - count.cumsum(0) + count)[owner]
    return Rows(owner, clip[owner] * rows + row, row * dsp.ROW - onset[owner])


def pick_weighted(draws: Draws, factor: str, weights: Sequence[float], *shape: int) -> Tensor:
    """Numbers drawn in proportion to ``weights``, int64 ``(B, *shape)``."""
    share = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    return torch.searchsorted(share, draws.uniform(factor, 0.0, float(share[-1]), *shape), right=True)


def add_rows(out: Tensor, target: Tensor, values: Tensor) -> None:
    """Add rows ``values`` (R, n) to rows ``target`` (R,) of ``out``, in one order on any device."""
    if out.device.type == "cpu":
        out.index_add_(0, target, values)
    else:  # atomics would add in any order; this sorts
        out.index_put_((target,), values, accumulate=True)


# ---------------------------------------------------------------------------------------------------
# Fields that make no sense are refused with what to type.


def check_ranges(
    source: Any, *names: str, lowest: float | None = None, highest: float | None = None
) -> None:
    """Refuse a field (low, high) that is no range, or leaves ``lowest`` to ``highest``."""
    for name in names:
        low, high = getattr(source, name)
        bounded = (lowest is None or low >= lowest) and (highest is None or high <= highest)
        if not (low <= high and bounded):
            usual = type(source).__dataclass_fields__[name].default
            least = "" if lowest is None else f", not under {lowest}"
            most = "" if highest is None else f", not over {highest}"
            raise UsageError(
                f"source.{name}={(low, high)} is no range: expected low <= high{least}{most}. "
                f"Type for example source.{name}=[{usual[0]},{usual[1]}]."
            )


def check_positive(source: Any, *names: str, highest: float | None = None) -> None:
    """Refuse a field (low, high) unless 0 < low <= high <= ``highest``."""
    tiny = 1e-12
    check_ranges(source, *names, lowest=tiny, highest=highest)


def check_weights(source: Any, *names: str) -> None:
    """Refuse fields that are weights, unless all are at least 0 and one is positive."""
    weights = [getattr(source, name) for name in names]
    if min(weights) < 0.0 or not sum(weights) > 0.0:
        raise UsageError(
            f"source.{', source.'.join(names)} = {weights}: expected weights of at least 0, one of "
            f"them positive. Type for example source.{names[0]}=1."
        )


def check_shares(source: Any, *names: str) -> None:
    """Refuse a probability outside 0 to 1."""
    for name in names:
        share = getattr(source, name)
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"source.{name}={share} is no probability: expected 0 to 1.")


def check_scales(source: Any, *names: str) -> None:
    """Refuse a factor under 0."""
    for name in names:
        scale = getattr(source, name)
        if not scale >= 0.0:
            raise UsageError(f"source.{name}={scale}: expected at least 0, where 1 changes nothing.")
