"""HEAR's naive baseline behind HEAR's calls: log-mels under a fixed random projection, nothing learnt.

    sourcebench evaluate encoder=suite.hear_naive tasks=[esc50]

44.1 kHz, a Hann window of 4096 samples, the power spectrum in 256 mel bands, log(x + 1e-4), times a
matrix 256 x 4096 drawn once uniformly from [0, 1) with seed 0 and divided by sqrt(256); a step every
50 ms, and a scene is the mean of steps every 250 ms. Source: spec evaluation.md 2.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.frontend import slaney_filters

SAMPLE_RATE = 44_100
WINDOW = 4096  # samples
BANDS = 256
SIZE = 4096  # of an embedding
FLOOR = 1e-4
STEP, SCENE_STEP = 0.050, 0.250  # seconds
AT_ONCE = 1024  # windows whose spectra are in memory at once


class NaiveBaseline(nn.Module):
    """Everything that is fixed: the window, the filters, the random projection."""

    sample_rate = SAMPLE_RATE
    scene_embedding_size = SIZE
    timestamp_embedding_size = SIZE
    window: Tensor  # (4096,)
    filters: Tensor  # (2049, 256)
    projection: Tensor  # (256, 4096)

    def __init__(self) -> None:
        super().__init__()
        filters = slaney_filters(
            BANDS, WINDOW // 2 + 1, low=0.0, high=SAMPLE_RATE / 2, nyquist=SAMPLE_RATE / 2
        )
        drawn = torch.rand(BANDS, SIZE, generator=torch.Generator().manual_seed(0))
        self.register_buffer("window", torch.hann_window(WINDOW))
        self.register_buffer("filters", filters.float())
        self.register_buffer("projection", drawn / BANDS**0.5)

    def forward(self, audio: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Embeddings ``(B, T, 4096)`` of ``(B, samples)`` every ``step`` seconds, and times ``(T,)``.

        Window i is centred at the sample nearest to i * step: hops that are no whole number of samples
        do not drift.
        """
        count = 1 + int(audio.shape[1] / SAMPLE_RATE / step)
        times = torch.arange(count, dtype=torch.float64) * step
        first = (times * SAMPLE_RATE).round().long().to(audio.device)  # in the padded sound
        padded = F.pad(audio, (WINDOW // 2, WINDOW // 2))
        steps = [
            self.projected(padded[:, some[:, None] + torch.arange(WINDOW, device=audio.device)])
            for some in first.split(max(1, AT_ONCE // len(audio)))
        ]
        return torch.cat(steps, dim=1), times

    def projected(self, windows: Tensor) -> Tensor:
        """Embeddings ``(B, t, 4096)`` of windows ``(B, t, samples)``."""
        spectrum = torch.fft.rfft(windows * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ self.filters + FLOOR).log() @ self.projection


def load_model(model_file_path: str = "") -> NaiveBaseline:
    """The baseline; nothing of it is read from a file."""
    return NaiveBaseline().eval()


def get_timestamp_embeddings(audio: Tensor, model: NaiveBaseline) -> tuple[Tensor, Tensor]:
    """Embeddings ``(n, T, 4096)`` of ``audio (n, samples)``, and their times ``(n, T)`` in ms."""
    with torch.no_grad():
        embedded, times = model(audio, STEP)
    return embedded, (times * 1000.0).float().to(audio.device).expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: NaiveBaseline) -> Tensor:
    """One embedding ``(n, 4096)`` of each sound of ``audio (n, samples)``."""
    with torch.no_grad():
        embedded, _ = model(audio, SCENE_STEP)
    return torch.as_tensor(embedded.mean(dim=1))
