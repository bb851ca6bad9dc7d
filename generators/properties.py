"""Measurable properties of pictures: what may explain why one source teaches more than another.

Every function takes pictures ``(B, F, T)``, row 0 the lowest frequency, as the encoder sees them:
standardised by the mean and standard deviation of their source, so lengths of value are in those
standard deviations and sounds compare with pictures. The choice is ours, after the candidates of
Ishikawa, Komatsu, Aoki (ICASSP 2025, arXiv 2410.00511), whose own list is not published.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from scipy.special import stdtrit
from torch import Tensor

PATCH = 16  # rows and columns of a patch: an MAE's
LEVELS = 256  # grey levels of a picture that is counted or compressed
REACH = 4.0  # standard deviations that the levels span to either side
FLAT = 0.05  # standard deviation below which a patch is flat: 1.6 grey levels
GROUPS = 10  # groups of pictures that the jackknife leaves out in turn
LEAST = 4  # pictures without which no interval means anything
VERSION = 1  # raise when a measure changes: it keys stored measurements


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval over pictures."""

    value: float
    low: float
    high: float


# ---------------------------------------------------------------------------------------------------
# Of one picture: (B, F, T) -> (B,)


def contrast(images: Tensor) -> Tensor:
    """Standard deviation within each picture, float64 ``(B,)``; 1 where pictures are alike."""
    return images.double().std(dim=(1, 2), correction=0)


def total_variation(images: Tensor, axis: int) -> Tensor:
    """Mean absolute difference of neighbours along ``axis`` (1 frequency, 2 time), ``(B,)``."""
    return images.double().diff(dim=axis).abs().mean(dim=(1, 2))


def spectral_slope(images: Tensor) -> Tensor:
    """Exponent of the power spectrum against frequency, ``(B,)``: 0 white noise, -2 sharp edges.

    A least-squares line through log power against log k, where ring k holds the frequencies within
    half a cycle of k cycles per shorter side S; k = 2 ... S / 2.
    """
    side = min(images.shape[1:])
    if side < 6:
        raise ValueError(f"a spectral slope needs at least 6 x 6 pixels, got {tuple(images.shape[1:])}")
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) * side for n in images.shape[1:])
    ring = torch.hypot(rows[:, None], columns[None, :]).round().long().flatten()
    power = torch.fft.fft2(images.cpu().double()).abs().square().flatten(1)  # (B, F * T)
    rings = int(ring.max()) + 1
    profile = power.new_zeros(len(power), rings).index_add_(1, ring, power)
    profile /= torch.bincount(ring, minlength=rings).clamp_min(1)
    k = torch.arange(2, side // 2 + 1)
    x, y = k.double().log(), (profile[:, k] + 1e-12).log()  # a constant picture has slope 0
    x = x - x.mean()
    return (y - y.mean(dim=1, keepdim=True)) @ x / x.square().sum()


def anisotropy(images: Tensor) -> Tensor:
    """How much one orientation prevails, ``(B,)`` from 0 (none) to 1 (all edges are parallel).

    The coherence (l1 - l2) / (l1 + l2) of the structure tensor averaged over the picture (Bigün and
    Granlund 1987); 0 for a constant picture.
    """
    rows, columns = torch.gradient(images.double(), dim=(1, 2))
    across, along = rows.square().mean(dim=(1, 2)), columns.square().mean(dim=(1, 2))
    mixed = (rows * columns).mean(dim=(1, 2))
    spread = torch.hypot(across - along, 2.0 * mixed)
    return spread / (across + along).clamp_min(torch.finfo(torch.float64).tiny)


def quantised(images: Tensor) -> Tensor:
    """Grey levels 0 to 255 of pictures in standard deviations, uint8; -4 is 0 and 4 is 255."""
    share = (images.double() + REACH) / (2.0 * REACH)
    return (share * LEVELS).floor().clamp_(0, LEVELS - 1).to(torch.uint8).cpu()


def entropy(images: Tensor) -> Tensor:
    """Entropy of each picture's 256 grey levels in bits, ``(B,)`` from 0 to 8."""
    levels = quantised(images).flatten(1)
    counts = torch.stack([torch.bincount(row, minlength=LEVELS) for row in levels.long()])
    return torch.special.entr(counts.double() / levels.shape[1]).sum(dim=1) / math.log(2.0)


def bits_per_pixel(images: Tensor) -> Tensor:
    """Bits per pixel of the grey levels after lossless compression, ``(B,)``; a PNG's, more or less.

    Each level minus its predecessor in time (PNG's filter "Sub"), deflated at level 9.
    """
    levels = quantised(images)
    levels[:, :, 1:] = levels.diff(dim=2)  # modulo 256
    sizes = [len(zlib.compress(picture.numpy().tobytes(), 9)) for picture in levels]
    return 8.0 * torch.tensor(sizes, dtype=torch.float64) / levels[0].numel()


def neighbour_predictability(images: Tensor) -> Tensor:
    """How well a patch is predicted by copying its neighbour, ``(B,)``: 1 exactly, 0 not at all.

    One minus the mean absolute difference of pixels one patch (16) apart along either axis, divided by
    that of two pixels drawn at random (Gini's mean difference). 1 for a constant picture; negative
    where neighbours differ more than strangers.
    """
    if min(images.shape[1:]) <= PATCH:
        raise ValueError(f"neighbours need more than {PATCH} pixels, got {tuple(images.shape[1:])}")
    images = images.double()
    below = (images[:, PATCH:] - images[:, :-PATCH]).abs().mean(dim=(1, 2))
    beside = (images[:, :, PATCH:] - images[:, :, :-PATCH]).abs().mean(dim=(1, 2))
    ordered = images.flatten(1).sort(dim=1).values
    count = ordered.shape[1]
    rank = torch.arange(1, count + 1, dtype=torch.float64, device=images.device)
    gini = (ordered @ (2.0 * rank - count - 1.0)) * 2.0 / (count * (count - 1))
    unlike = (below + beside) / (2.0 * gini.clamp_min(torch.finfo(torch.float64).tiny))
    return torch.where(gini > 1e-9, 1.0 - unlike, 1.0)


def flat_share(images: Tensor) -> Tensor:
    """Share of the patches of each picture whose standard deviation is under 0.05, ``(B,)``."""
    return (patches(images).std(dim=2, correction=0) < FLAT).double().mean(dim=1)


# ---------------------------------------------------------------------------------------------------
# Of many pictures: (B, F, T) -> a number


def patches(images: Tensor) -> Tensor:
    """Whole patches of 16 x 16 pixels, float64 ``(B, N, 256)``; the rest at the edges is cut off."""
    rows, columns = (n // PATCH for n in images.shape[1:])
    if rows * columns == 0:
        raise ValueError(f"patches need at least {PATCH} x {PATCH} pixels, got {images.shape[1:]}")
    cut = images[:, : rows * PATCH, : columns * PATCH].double()
    blocks = cut.unflatten(2, (columns, PATCH)).unflatten(
        1, (rows, PATCH)
    )  # (B, rows, 16, columns, 16)
    return blocks.transpose(2, 3).flatten(3).flatten(1, 2)


def slope_spread(images: Tensor) -> float:
    """Standard deviation of the spectral slope over pictures."""
    return spectral_slope(images).std().item()


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(256,)`` and covariance ``(256, 256)`` of all patches."""
    values = patches(images).flatten(0, 1)
    centred = values - values.mean(dim=0)
    return values.mean(dim=0), centred.T @ centred / (len(centred) - 1)


def patch_rank(images: Tensor) -> float:
    """Effective number of principal components of the patches, 1 to 256.

    The exponential of the entropy of the covariance's normalised eigenvalues (Roy and Vetterli 2007).
    """
    values = torch.linalg.eigvalsh(moments(images)[1]).clamp_min(0.0)
    return torch.special.entr(values / values.sum()).sum().exp().item()


def diversity(images: Tensor) -> float:
    """One minus the mean cosine of two pictures' patch statistics: 0 all alike, 1 unrelated.

    The statistics are mean and standard deviation of each patch, in place.
    """
    values = patches(images)
    statistics = torch.cat([values.mean(dim=2), values.std(dim=2, correction=0)], dim=1)  # (B, 2 N)
    unit = torch.nn.functional.normalize(statistics, dim=1)
    pairs = len(unit) * (len(unit) - 1)
    return 1.0 - ((unit.sum(dim=0).square().sum() - unit.square().sum()) / pairs).item()


def frechet(images: Tensor, reference: tuple[Tensor, Tensor]) -> float:
    """Fréchet distance per pixel of the patches' Gaussian to that of real log-mels (:func:`moments`).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson and Landau 1982; squared, as in FID, Heusel et
    al. 2017) over the 256 pixels of a patch: all its principal components, in variances. It compares
    patches wherever they lie, and second moments only.
    """
    mean, covariance = moments(images)
    real_mean, real_covariance = reference
    values, vectors = torch.linalg.eigh(real_covariance)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ covariance @ root).clamp_min(0.0).sqrt().sum()
    distance = (mean - real_mean).square().sum() + covariance.trace() + real_covariance.trace()
    return ((distance - 2.0 * shared) / len(mean)).clamp_min(0.0).item()


# ---------------------------------------------------------------------------------------------------
# All of them, with intervals

OF_A_PICTURE: dict[str, Callable[[Tensor], Tensor]] = {
    "contrast": contrast,
    "variation_frequency": partial(total_variation, axis=1),
    "variation_time": partial(total_variation, axis=2),
    "spectral_slope": spectral_slope,
    "anisotropy": anisotropy,
    "entropy": entropy,
    "bits_per_pixel": bits_per_pixel,
    "neighbour_predictability": neighbour_predictability,
    "flat_share": flat_share,
}
OF_MANY: dict[str, Callable[[Tensor], float]] = {
    "slope_spread": slope_spread,
    "patch_rank": patch_rank,
    "diversity": diversity,
}
NAMES = (*OF_A_PICTURE, *OF_MANY, "frechet")


def measure(images: Tensor, reference: tuple[Tensor, Tensor] | None = None) -> dict[str, Interval]:
    """Every property of standardised pictures ``(B, F, T)`` with its 95 % interval, by name.

    What is a mean over pictures has Student's interval; the rest a jackknife's that leaves out one of
    ten groups of pictures at a time (Shao and Tu 1995). ``frechet`` is there with a ``reference``:
    the :func:`moments` of real log-mels. Raises ValueError for fewer than four pictures.
    """
    if len(images) < LEAST:
        raise ValueError(f"an interval over pictures needs at least {LEAST} of them, got {len(images)}")
    found = {name: student(each(images)) for name, each in OF_A_PICTURE.items()}
    many = dict(OF_MANY)
    if reference is not None:
        many["frechet"] = partial(frechet, reference=reference)
    return found | {name: jackknife(images, overall) for name, overall in many.items()}


def student(values: Tensor) -> Interval:
    """Mean of independent ``values`` ``(B,)`` and its 95 % t interval."""
    error = values.std().item() / math.sqrt(len(values))
    return around(values.mean().item(), error, len(values) - 1)


def jackknife(images: Tensor, overall: Callable[[Tensor], float]) -> Interval:
    """A property of many pictures with the 95 % interval of a delete-a-group jackknife."""
    group = torch.arange(len(images)) % GROUPS
    count = min(GROUPS, len(images))
    without = torch.tensor([overall(images[group != left]) for left in range(count)])
    error = math.sqrt((count - 1) / count * (without - without.mean()).square().sum().item())
    return around(overall(images), error, count - 1)


def around(value: float, error: float, freedom: int) -> Interval:
    """The 95 % interval of an estimate with a standard error of ``freedom`` degrees of freedom."""
    half = float(stdtrit(freedom, 0.975)) * error
    return Interval(value, value - half, value + half)
