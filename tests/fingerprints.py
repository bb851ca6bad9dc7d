"""Image statistics of pictures, and whether two means of them agree within their sampling errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


def radial_slope(picture: np.ndarray) -> float:
    """Log-log slope of the radially averaged power spectrum of a square, k = 2 ... S/2."""
    side = len(picture)
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    k = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int).ravel()
    profile = np.bincount(ring, power.ravel()) / np.bincount(ring)
    rings = np.arange(2, side // 2 + 1)
    return float(np.polyfit(np.log(rings), np.log(profile[rings] + 1e-12), 1)[0])


@dataclass(frozen=True)
class Fingerprints:
    """One row per picture: mean, standard deviation, total variation per pixel, spectral slope."""

    rows: np.ndarray

    @staticmethod
    def of(pictures: Iterable[np.ndarray]) -> Fingerprints:
        rows = []
        for picture in pictures:
            variation = sum(np.abs(np.diff(picture, axis=axis)).mean() for axis in (0, 1))
            rows.append((picture.mean(), picture.std(), variation, radial_slope(picture)))
        return Fingerprints(np.array(rows))

    def errors(
        self,
        reference: tuple[float, float, float, float],
        count: int,
        variation_sd: float,
        slope_sd: float,
    ) -> np.ndarray:
        """Differences from a reference's means over ``count`` pictures, in standard errors of both.

        The reference states its spread for total variation and slope; for mean and standard deviation
        it is taken to be ours.
        """
        own = self.rows.std(axis=0, ddof=1)
        others = np.array([own[0], own[1], variation_sd, slope_sd])
        error = np.sqrt(own**2 / len(self.rows) + others**2 / count)
        return (self.rows.mean(axis=0) - np.array(reference)) / error
