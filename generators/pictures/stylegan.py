"""Untrained StyleGAN2 generators: pictures of random convolutional networks, after Baradad et al."""

from __future__ import annotations

from dataclasses import dataclass

from ..base import Source
from .untrained_stylegan import UntrainedStyleGAN


@dataclass(kw_only=True)
class StyleGANRandom(UntrainedStyleGAN, Source, name="stylegan_random"):
    """Untrained StyleGAN2: smooth blobs of a random network, darker towards the frame."""

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "nothing"
    dense = True


@dataclass(kw_only=True)
class StyleGANHighFrequency(UntrainedStyleGAN, Source, name="stylegan_high_frequency"):
    """Untrained StyleGAN2 of wavelets and pink noise: noisy clouds with a 1/f spectrum."""

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "nothing"
    signed = True

    noise_strength: float = 0.3


@dataclass(kw_only=True)
class StyleGANSparse(UntrainedStyleGAN, Source, name="stylegan_sparse"):
    """Untrained StyleGAN2 of wavelets, sparse noise and biases: streaks with local texture.

    Envelopes of the noise are brought to a peak of one, which is not published: as they are drawn,
    total variation and spectral slope miss the reference's (specification 8.2) by four standard errors.
    """

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "nothing"
    envelope = "peak one"

    noise_strength: float = 0.3
    bias_range: float = 0.2


@dataclass(kw_only=True)
class StyleGANOriented(UntrainedStyleGAN, Source, name="stylegan_oriented"):
    """Untrained StyleGAN2 of few wavelets a layer and one noise map: oriented ridges and strokes."""

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "nothing"
    envelope = "laplace"
    one_map = True

    noise_strength: float = 0.3
    bias_range: float = 0.2
    fewest_kernels: int = 5
