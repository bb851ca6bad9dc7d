"""What a pre-training source is, and the counter-based random draws every source is made of."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

Kind = Literal["waveform", "picture", "image"]
Family = Literal[
    "procedural sound",
    "noise",
    "recording",
    "dead leaves",
    "statistical image",
    "random network",
    "shader",
    "fractal",
    "contour",
    "texture field",
    "spectral picture",
    "blend",
    "control",
]
Speed = Literal["fast", "moderate", "slow"]  # samples/s and core: 100 or more, 10 to 100, under 10


class LogMel(Protocol):
    """The front-end as a source sees it: what turns waveforms into raw images of ``bands`` bands."""

    @property
    def bands(self) -> int:
        """Rows F of an image."""

    def log_mel(self, waveforms: Tensor) -> Tensor:
        """Raw images ``(B, F, T)`` of waveforms ``(B, samples)``."""

    def pad_frames(self, images: Tensor, frames: int) -> Tensor:
        """Images of at least ``frames`` frames, silence at their right."""


@dataclass(kw_only=True)
class Source(ABC):
    """A pure function from (fields, seed, index) to a sound or a picture.

    A subclass is a keyword-only dataclass whose fields are its parameters, with the published value
    as default: ``class DeadLeaves(Source, name="dead_leaves")``. It implements two methods:
    :meth:`parameters` draws every factor of the samples on the CPU, :meth:`render` turns a whole
    batch of drawn factors into waveforms ``(B, samples)`` in [-1, 1] or pictures ``(B, F, T)`` in
    [0, 1] in vectorised torch on any device. The same index gives the same sample whatever the
    batch, its order, the worker or the rank.

    Waveform sources have the fields ``seconds`` and ``sample_rate``; picture sources ``height``
    (frequency, F) and ``width`` (time, T). ``size`` is the number of distinct samples: index ``i``
    shows sample ``i % size``; ``None`` means endless.

    A source of other sources may need the front-end before its samples have one shape (sounds beside
    pictures): its kind is ``image``, and it makes raw images in :meth:`images` instead of a batch.

    The class variables are stated in the class body as plain values: they are read from the text of
    the file, so that the sources can be listed without importing any.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    family: ClassVar[Family]
    citation: ClassVar[str]  # "Baradad et al. 2021, arXiv 2106.05963", or "ours"
    speed: ClassVar[Speed]  # at the default size
    needs: ClassVar[str]  # "nothing", or what the user brings: "a folder of sounds"
    in_brief: ClassVar[str] = ""  # "form=small": a field that makes a slow source affordable for a look
    version: ClassVar[int] = 1  # raise when the same fields render something else: it keys the pools
    framed: ClassVar[bool] = False  # a composition to be seen whole: do not draw it long and cut it

    seed: int = 0
    size: int | None = None

    def __init_subclass__(cls, *, name: str | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if name is not None:  # what several sources share is a class without a name
            cls.name = name

    @abstractmethod
    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """Draw the factors of samples ``indices`` (int64, ``(B,)``): CPU tensors, batch first."""

    @abstractmethod
    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Turn drawn factors into ``(B, samples)`` or ``(B, F, T)`` float32 on ``device``."""

    def batch(self, indices: Tensor | list[int], device: torch.device | str = "cpu") -> Tensor:
        """Samples ``indices`` as one tensor on ``device``."""
        return self.render(self.parameters(self.distinct(indices)), torch.device(device))

    def expect(self, indices: Tensor | list[int]) -> None:  # noqa: B027 most sources read no files
        """Hear which samples will be asked for soon: a source that reads files starts to read them.

        It changes no sample, only how long it is waited for.
        """

    def images(
        self, indices: Tensor | list[int], frontend: LogMel, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Raw images ``(B, F, T)`` of samples: log-mels of sounds, pictures as they are."""
        samples = self.batch(indices, device)
        return frontend.log_mel(samples) if self.kind == "waveform" else samples

    def sounds(self, indices: Tensor | list[int]) -> list[tuple[Tensor, int] | None]:
        """What can be heard of samples: waveform ``(samples,)`` and sample rate, None for a picture."""
        if self.kind == "waveform":
            rate: int = getattr(self, "sample_rate")  # noqa: B009 a field of every waveform source
            return [(waveform, rate) for waveform in self.batch(indices)]
        return [None] * len(indices)

    def made_of(self) -> dict[str, Source]:
        """The sources that it is made of, by the key they are typed under: ``{"of.audiopg": ...}``."""
        return {}

    def chances(self, rows: Tensor, progress: float) -> Tensor | None:
        """How likely samples ``rows`` of a finite pool are at a share ``progress`` of the training.

        Relative probabilities, float64 ``(rows,)``; None, the rule: each is shown once in a pass.
        """
        return None

    def distinct(self, indices: Tensor | list[int]) -> Tensor:
        """Sample indices, int64 ``(B,)``, as numbers below ``size``."""
        wanted = torch.as_tensor(indices, dtype=torch.int64)
        return wanted if self.size is None else wanted % self.size

    def sample(self, index: int) -> Tensor:
        """One sample: ``(samples,)`` or ``(F, T)``."""
        return self.batch([index])[0]

    def describe(self, index: int) -> dict[str, Any]:
        """The drawn factors of one sample as plain numbers and lists, for labels and captions."""
        drawn = self.parameters(self.distinct([index]))
        return {key: value[0].tolist() for key, value in drawn.items()}

    def identity(self) -> dict[str, Any]:
        """Everything that decides what is rendered, as plain values; the key of cached pools."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"source": self.name, "version": self.version, **values}


# ---------------------------------------------------------------------------------------------------
# Counter-based randomness: a number depends on (seed, factor, index, position) and on nothing else.

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # SplitMix64's increment, as a signed 64-bit integer
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_STEPS = ((30, _MIX_1), (27, _MIX_2), (31, 1))  # shift, then factor


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014) on int64 with wrapping products, in place."""
    if state.device.type == "cpu":
        _mix_array(state.numpy())
        return state
    shifted = torch.empty_like(state)
    for shift, factor in _STEPS:
        torch.bitwise_right_shift(state, shift, out=shifted)
        state ^= shifted.bitwise_and_((1 << (64 - shift)) - 1)  # a logical shift
        if factor != 1:
            state *= factor
    return state


def _mix_array(state: np.ndarray) -> None:
    """The same by numpy, which shifts unsigned integers and costs a third as much on a small array."""
    state, shifted = state.view(np.uint64), np.empty(state.shape, np.uint64)
    for shift, factor in _STEPS:
        np.right_shift(state, np.uint64(shift), out=shifted)
        state ^= shifted
        if factor != 1:
            state *= np.uint64(factor % (1 << 64))


def _salt(seed: int, factor: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{factor}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True)
class Draws:
    """Independent random numbers for a batch of sample indices; each factor has its own stream.

    >>> draws = Draws(seed=0, indices=torch.arange(4))
    >>> draws.uniform("pitch", 50.0, 2000.0).shape
    torch.Size([4])

    Adding a factor, or asking in another order, never changes the numbers of the others.
    """

    seed: int
    indices: Tensor  # int64 (B,)

    def keys(self, factor: str) -> Tensor:
        """One 64-bit key per sample, int64 ``(B,)``: seeds :func:`white_noise` on any device."""
        return _mix(_mix(self.indices * _GOLDEN + _salt(self.seed, factor)) + _GOLDEN)

    def bits(self, factor: str, *shape: int) -> Tensor:
        """Random int64 of shape ``(B, *shape)``."""
        count = math.prod(shape)
        counter = torch.arange(1, count + 1, dtype=torch.int64) * _GOLDEN
        return _mix(self.keys(factor)[:, None] + counter).reshape(len(self.indices), *shape)

    def uniform(self, factor: str, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """U[low, high) in float64, shape ``(B, *shape)``; nothing is drawn where they are equal."""
        if low == high:
            return torch.full((len(self.indices), *shape), low, dtype=torch.float64)
        unit = (self.bits(factor, *shape).numpy().view(np.uint64) >> np.uint64(11)) * 2.0**-53
        return torch.from_numpy(unit).mul_(high - low).add_(low)

    def integers(self, factor: str, low: int, high: int, *shape: int) -> Tensor:
        """Uniform integers from ``low`` to ``high``, both included, int64 ``(B, *shape)``."""
        if low == high:
            return torch.full((len(self.indices), *shape), low, dtype=torch.int64)
        return (self.uniform(factor, 0.0, 1.0, *shape) * (high - low + 1)).long() + low

    def happens(self, factor: str, p_apply: float, *shape: int) -> Tensor:
        """True with probability ``p_apply``, bool ``(B, *shape)``."""
        if p_apply <= 0.0 or p_apply >= 1.0:
            return torch.full((len(self.indices), *shape), p_apply >= 1.0)
        return self.uniform(factor, 0.0, 1.0, *shape) < p_apply

    def normal(self, factor: str, *shape: int) -> Tensor:
        """N(0, 1) in float64, shape ``(B, *shape)``, by Box and Muller."""
        radius = (-2.0 * torch.log1p(-self.uniform(f"{factor}/radius", 0.0, 1.0, *shape))).sqrt()
        return radius * torch.cos(2.0 * math.pi * self.uniform(f"{factor}/angle", 0.0, 1.0, *shape))


def white_noise(keys: Tensor, samples: int, device: torch.device) -> Tensor:
    """Uniform white noise on [-1, 1), float32 ``(B, samples)``, made on ``device`` from keys ``(B,)``.

    One 64-bit counter hash gives four samples of 16-bit resolution, the same on every device.
    """
    quarter = -(-samples // 4)
    counter = torch.arange(1, quarter + 1, dtype=torch.int64, device=device) * _GOLDEN
    out = torch.empty(len(keys), samples, device=device)
    # on a CPU as many rows at a time as its cache holds
    pieces = max(1, 2**15 // max(1, quarter)) if device.type == "cpu" else max(1, len(keys))
    for key, rows in zip(keys.to(device).split(pieces), out.split(pieces), strict=True):
        lanes = _mix(key[:, None] + counter).view(torch.int16)  # (rows, 4 * quarter)
        rows.copy_(lanes[:, :samples]).mul_(2.0**-15)
    return out
