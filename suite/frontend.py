"""From waveforms to log-mel images: Kaldi-compatible filter banks and MSM-MAE's log-mel spectrogram."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from generators.drawer import BadData, UsageError

Family = Literal["kaldi", "msm_mae"]
Statistics = Literal["source", "task", "fixed"]
Padding = Literal["zero_raw", "floor"]

EPSILON = 1.1920928955078125e-07  # float32 machine epsilon: the log floor of both families
WINDOW, HOP = 400, 160  # samples: 25 ms and 10 ms at 16 kHz
BLOCK = 6000  # frames transformed at once: a minute, so that hours of sound need no more memory


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """Log-mel images ``(B, F, T)`` of 16 kHz waveforms, and how they are standardised and padded.

    ``kaldi``: torchaudio.compliance.kaldi.fbank as AudioPG, Audio-MAE, EAT and CAT call it (no dither,
    Hann, 20 Hz to Nyquist, natural log of the power). ``msm_mae``: nnAudio's Slaney mel spectrogram as
    MSM-MAE calls it (centred frames, 50 Hz to 8 kHz).

    ``statistics`` says whose mean and standard deviation standardise an image at evaluation:
    ``source`` those of the pre-training source, ``task`` those of the task's clips (two scalars, no
    labels), ``fixed`` the ``mean`` and ``std`` given here, at pre-training too.
    """

    family: Family = "msm_mae"
    bands: int = 80
    frames: int = 208  # T of one input of the encoder
    statistics: Statistics = "task"
    mean: float = 0.0
    std: float = 1.0
    divisor: float = 1.0  # Audio-MAE and AudioPG divide by 2 std
    padding: Padding = "floor"
    sample_rate: int = 16_000

    def __post_init__(self) -> None:
        if self.sample_rate != 16_000:
            raise UsageError(
                f"frontend.sample_rate={self.sample_rate}: both families are defined at 16000 Hz."
            )
        if self.std <= 0:
            raise UsageError(f"frontend.std={self.std}: a standard deviation must be positive.")

    def count_frames(self, samples: int) -> int:
        """Frames of a waveform of ``samples`` samples."""
        if self.family == "kaldi":
            return max(0, 1 + (samples - WINDOW) // HOP)
        return 1 + samples // HOP

    @property
    def first_centre(self) -> float:
        """Where the first frame's window is centred, in seconds; the others follow every 10 ms."""
        return WINDOW / 2 / self.sample_rate if self.family == "kaldi" else 0.0

    def log_mel(self, waveforms: Tensor) -> Tensor:
        """Raw log-mel images ``(B, F, T)`` of float32 waveforms ``(B, samples)`` in [-1, 1]."""
        if waveforms.ndim != 2:
            raise ValueError(f"expected waveforms (B, samples), got {tuple(waveforms.shape)}")
        shortest = WINDOW if self.family == "kaldi" else WINDOW // 2 + 1
        if waveforms.shape[1] < shortest:
            waveforms = F.pad(waveforms, (0, shortest - waveforms.shape[1]))
        transform = kaldi_fbank if self.family == "kaldi" else msm_mae_log_mel
        return transform(waveforms, self.bands)

    @property
    def pad_level(self) -> float:
        """The raw log-mel value of padded frames: 0 as in the references, or digital silence."""
        return 0.0 if self.padding == "zero_raw" else math.log(EPSILON)

    def pad_frames(self, images: Tensor, frames: int) -> Tensor:
        """Pad raw images ``(B, F, T)`` on the right to at least ``frames`` frames."""
        missing = frames - images.shape[-1]
        return F.pad(images, (0, missing), value=self.pad_level) if missing > 0 else images

    def standardise(self, images: Tensor) -> Tensor:
        """``(x - mean) / (divisor * std)`` with this front-end's statistics."""
        return (images - self.mean) / (self.divisor * self.std)

    def raw(self, images: Tensor) -> Tensor:
        """Standardised images as they were before :meth:`standardise`."""
        return images * (self.divisor * self.std) + self.mean

    def measured_on(self, images: Tensor, origin: str) -> FrontEnd:
        """This front-end with the mean and standard deviation of raw ``images``.

        Raises :class:`BadData` naming ``origin`` where the images are constant or not finite.
        """
        wide = images.double()
        mean, std = wide.mean().item(), wide.std().item()
        if not math.isfinite(mean) or not std > 1e-6:
            raise BadData(
                f"{origin} gives constant or non-finite images (mean {mean:.3g}, std {std:.3g}); "
                "nothing can be learnt from them. Look at it with `sourcebench preview`."
            )
        return replace(self, mean=mean, std=std)

    def plain(self) -> dict[str, Any]:
        """All fields as plain values, for frontend.json and for content hashes."""
        return asdict(self)


def kaldi_fbank(waveforms: Tensor, bands: int) -> Tensor:
    """Kaldi log filter banks ``(B, bands, T)``, T = 1 + (samples - 400) // 160 (spec 1.3).

    Removing each frame's mean m before the pre-emphasis x[i] - 0.97 x[i-1] takes 0.03 m off every
    pre-emphasised sample; the frame's first sample, where Kaldi's rule differs, meets a window of zero.
    """
    window, mel = _kaldi_constants(bands, waveforms.device)

    def transform(waveform: Tensor) -> Tensor:
        emphasised = torch.zeros_like(waveform)
        torch.sub(waveform[:, 1:], waveform[:, :-1], alpha=0.97, out=emphasised[:, 1:])
        mean = waveform.unfold(1, WINDOW, HOP).mean(dim=2, keepdim=True)  # (b, T, 1)
        frames = waveform.new_zeros(*mean.shape[:2], 512)
        frames[..., :WINDOW] = (emphasised.unfold(1, WINDOW, HOP) - 0.03 * mean) * window
        spectrum = torch.fft.rfft(frames)  # (b, T, 257)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power[..., :256] @ mel).clamp_min_(EPSILON).log_()

    return _in_blocks(waveforms, bands, transform)


def msm_mae_log_mel(waveforms: Tensor, bands: int) -> Tensor:
    """MSM-MAE's log-mel ``(B, bands, T)``, T = 1 + samples // 160 (spec 2.1)."""
    window, mel = _msm_mae_constants(bands, waveforms.device)

    def transform(waveform: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(waveform.unfold(1, WINDOW, HOP) * window)  # (b, T, 201)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ mel).add_(EPSILON).log_()

    padded = F.pad(waveforms[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
    return _in_blocks(padded, bands, transform)


def _in_blocks(waveforms: Tensor, bands: int, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Images ``(B, bands, T)`` of waveforms ``(B, samples)``, ``transform`` ed to ``(b, t, bands)``.

    A stretch of at most BLOCK frames at once. On a CPU one clip at a time stays in the cache (twice as
    fast as a batch of 16), and the shape of every product, so the last bit too, is the same whatever
    the batch. A GPU wants the whole batch.
    """
    frames = 1 + (waveforms.shape[1] - WINDOW) // HOP
    images = waveforms.new_empty(len(waveforms), frames, bands)
    clips = 1 if waveforms.device.type == "cpu" else len(waveforms)
    for waveform, image in zip(waveforms.split(clips), images.split(clips), strict=True):
        for first in range(0, frames, BLOCK):
            stretch = waveform[:, first * HOP : (first + BLOCK - 1) * HOP + WINDOW]
            image[:, first : first + BLOCK] = transform(stretch)
    return images.transpose(1, 2)


@lru_cache(maxsize=8)
def _kaldi_constants(bands: int, device: torch.device) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)

    def to_mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    edges_hertz = torch.tensor([20.0, 8000.0], dtype=torch.float64)
    low, high = to_mel(edges_hertz).tolist()
    edges = torch.linspace(low, high, bands + 2, dtype=torch.float64)
    mel_bin = to_mel(torch.arange(256, dtype=torch.float64) * (16_000 / 512))[:, None]  # (256, 1)
    up = (mel_bin - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mel_bin) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(up, down).clamp_min(0.0)  # (256, bands)
    return window.float().to(device), filters.float().to(device)


@lru_cache(maxsize=8)
def _msm_mae_constants(bands: int, device: torch.device) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(WINDOW, periodic=True, dtype=torch.float64)
    filters = slaney_filters(bands, WINDOW // 2 + 1, low=50.0, high=8000.0, nyquist=8000.0)
    return window.float().to(device), filters.float().to(device)


def slaney_filters(bands: int, bins: int, *, low: float, high: float, nyquist: float) -> Tensor:
    """Triangles of unit area on Slaney's mel scale, float64 ``(bins, bands)``; edges in hertz."""
    lowest, highest = _hertz_to_slaney(torch.tensor([low, high])).tolist()
    edges = _slaney_to_hertz(torch.linspace(lowest, highest, bands + 2, dtype=torch.float64))
    hertz = torch.linspace(0.0, nyquist, bins, dtype=torch.float64)[:, None]  # (bins, 1)
    up = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return torch.minimum(up, down).clamp_min(0.0) * (2.0 / (edges[2:] - edges[:-2]))


def _hertz_to_slaney(hertz: Tensor) -> Tensor:
    """Slaney's mel scale: linear below 1 kHz (15 mel), 27 mel per factor of 6.4 above."""
    linear = hertz.double() * 3.0 / 200.0
    return torch.where(
        hertz >= 1000.0, 15.0 + torch.log(hertz.double() / 1000.0) * 27.0 / math.log(6.4), linear
    )


def _slaney_to_hertz(mel: Tensor) -> Tensor:
    return torch.where(
        mel >= 15.0, 1000.0 * torch.exp((mel - 15.0) * math.log(6.4) / 27.0), mel * 200.0 / 3.0
    )
