"""Controls made of another source: what is left when its structure, or its events, are destroyed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .base import Draws, LogMel, Source, white_noise
from .drawer import UsageError
from .dsp import in_chunks
from .parts import Part, Whole, create_one


@dataclass(kw_only=True)
class ShuffledPatches(Whole, Source, name="shuffled_patches"):
    """The images of another source, cut in patches that lie in random order: no structure is left.

    ``of`` is any source: the log-mel image of a sound, after the front-end, or a picture, in patches
    of ``patch`` bands x frames (16 x 16, the encoder's). The order is drawn from (seed, i). Every
    pixel is kept, so the histogram of an image and all that happens inside a patch are; where a patch
    lay in time and frequency is not. Bands and frames beyond the last whole patch stay in place.
    """

    kind = "image"
    family = "control"
    citation = "ours"
    speed = "fast"
    needs = "nothing"

    of: Part | str = field(default_factory=lambda: {"audiopg": {}})
    patch: tuple[int, int] = (16, 16)

    def __post_init__(self) -> None:
        if min(self.patch) < 1:
            raise UsageError(f"source.patch={self.patch}: expected bands and frames, as in [16,16].")
        self.label, self.child = create_one(self.of, self, "source.of")

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The key of the order of patches, int64 ``(B,)``: how many there are the image tells."""
        return {"patch_key": Draws(self.seed, indices).keys("patch_order")}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Raises UsageError: patches are cut from images, which need a front-end."""
        raise UsageError(
            "shuffled_patches is no batch of waveforms or pictures: ask for images(indices, frontend)."
        )

    def made_of(self) -> dict[str, Source]:
        """The source that it destroys."""
        return {f"of.{self.label}": self.child}

    def expect(self, indices: Tensor | list[int]) -> None:
        """Pass the indices to the source it is made of."""
        self.child.expect(self.distinct(indices))

    def images(
        self, indices: Tensor | list[int], frontend: LogMel, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Raw images ``(B, F, T)`` of the source, their patches in random order."""
        wanted = self.distinct(indices)
        images = self.child.images(wanted, frontend, device)
        bands, frames = self.patch
        rows, columns = images.shape[1] // bands, images.shape[2] // frames
        if rows * columns < 2:
            raise UsageError(
                f"source.patch={self.patch} leaves {rows * columns} whole patches of images of "
                f"{images.shape[1]} bands x {images.shape[2]} frames. Type a smaller source.patch."
            )
        order = Draws(self.seed, wanted).bits("patch_order", rows * columns).argsort(dim=1)
        return permute_patches(images, order.to(images.device), self.patch)

    def chances(self, rows: Tensor, progress: float) -> Tensor | None:
        """As the source it is made of."""
        return self.child.chances(rows, progress)

    def describe(self, index: int) -> dict[str, Any]:
        """The source and what it says of its sample; the size of a patch."""
        (wanted,) = self.distinct([index]).tolist()
        own = {"of": self.label, "patch_bands": self.patch[0], "patch_frames": self.patch[1]}
        return {**own, **self.child.describe(wanted)}

    def identity(self) -> dict[str, Any]:
        """Its own fields, and the identity of the source it is made of."""
        values = super().identity()
        del values["cache"]
        return {**values, "of": self.child.identity()}


@dataclass(kw_only=True)
class PhaseRandomised(Whole, Source, name="phase_randomised"):
    """The sounds of another source with random phases: the spectrum of the clip, and no event.

    ``of`` is a source of sounds. The magnitudes of the Fourier transform of the whole clip are kept,
    and with them its mean power; phases are uniform, drawn from (seed, i), except those of the mean and
    of half the sample rate, which have none. What is left is stationary noise of the clip's colour. A
    clip whose new peak is over full scale is turned down to it.
    """

    kind = "waveform"
    family = "control"
    citation = "Theiler et al. 1992, Physica D 58"
    speed = "moderate"
    needs = "nothing"

    of: Part | str = field(default_factory=lambda: {"audiopg": {}})

    def __post_init__(self) -> None:
        self.label, self.child = create_one(self.of, self, "source.of")
        if self.child.kind != "waveform":
            raise UsageError(
                f"source.of={self.label} makes no sounds, and only sounds have phases. "
                "Type a source of sounds, for example source.of=audiopg."
            )
        self.seconds: float = getattr(self.child, "seconds")  # noqa: B009
        self.sample_rate: int = getattr(self.child, "sample_rate")  # noqa: B009

    def parameters(self, indices: Tensor) -> dict[str, Tensor]:
        """The key of the phases, int64 ``(B,)``, and the factors of the source under ``of/``."""
        drawn = {f"of/{key}": value for key, value in self.child.parameters(indices).items()}
        return {"phase_key": Draws(self.seed, indices).keys("phases"), **drawn}

    def render(self, parameters: dict[str, Tensor], device: torch.device) -> Tensor:
        """Waveforms ``(B, samples)`` in [-1, 1], float32 on ``device``."""

        def render_chunk(drawn: dict[str, Tensor]) -> Tensor:
            of = {k.removeprefix("of/"): v for k, v in drawn.items() if k.startswith("of/")}
            waveform = randomise_phases(self.child.render(of, device), drawn["phase_key"])
            peak = waveform.abs().amax(dim=1, keepdim=True)
            return waveform.div_(peak.clamp_min_(1.0)).clamp_(-1.0, 1.0)

        return in_chunks(render_chunk, parameters, device)

    def made_of(self) -> dict[str, Source]:
        """The source that it destroys."""
        return {f"of.{self.label}": self.child}

    def expect(self, indices: Tensor | list[int]) -> None:
        """Pass the indices to the source it is made of."""
        self.child.expect(self.distinct(indices))

    def describe(self, index: int) -> dict[str, Any]:
        """The source, and what it says of the clip that lent its spectrum."""
        (wanted,) = self.distinct([index]).tolist()
        return {"of": self.label, **self.child.describe(wanted)}

    def identity(self) -> dict[str, Any]:
        """Its own fields, and the identity of the source it is made of."""
        values = super().identity()
        for key in ("cache", "height", "width", "horizon"):
            del values[key]
        return {**values, "of": self.child.identity()}


def permute_patches(images: Tensor, order: Tensor, patch: tuple[int, int]) -> Tensor:
    """Images ``(B, F, T)`` whose patch p is their patch ``order[:, p]``, int64 ``(B, patches)``.

    Patches of (bands, frames) are counted along time first; the rest beyond whole ones is kept.
    """
    bands, frames = patch
    rows, columns = images.shape[1] // bands, images.shape[2] // frames
    whole = images[:, : rows * bands, : columns * frames]
    patches = whole.unflatten(2, (columns, frames)).unflatten(1, (rows, bands))
    patches = patches.transpose(2, 3).reshape(len(images), rows * columns, bands * frames)
    patches = patches.gather(1, order[:, :, None].expand_as(patches))
    patches = patches.reshape(len(images), rows, columns, bands, frames).transpose(2, 3)
    out = images.clone()
    out[:, : rows * bands, : columns * frames] = patches.reshape(whole.shape)
    return out


def randomise_phases(waveforms: Tensor, keys: Tensor) -> Tensor:
    """Waveforms ``(B, n)`` with their magnitude spectra and uniform phases, from keys ``(B,)``."""
    samples = waveforms.shape[1]
    spectrum = torch.fft.rfft(waveforms)  # (B, n // 2 + 1)
    phases = white_noise(keys, spectrum.shape[1], waveforms.device).mul_(math.pi)
    turned = torch.polar(spectrum.abs(), phases)
    real = [0, spectrum.shape[1] - 1] if samples % 2 == 0 else [0]
    turned[:, real] = spectrum[:, real]
    made: Tensor = torch.fft.irfft(turned, n=samples)
    return made
