"""CAT's multi-resolution stem: patches seen at several scales, nothing crossing from hidden to seen."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from generators.drawer import UsageError
from suite.blocks import pick
from suite.stem_convolution import MaskedConvolution, windows_of

PUBLISHED_WIDTH = 768  # the channels below are for this width, and shrink with it


@dataclass(frozen=True)
class StemOption:
    """Pixels a side of a cell at each stage, and channels of all but the last (spec bootstrap B.1)."""

    resolutions: tuple[int, ...]
    channels: tuple[int, ...]


OPTIONS = (
    StemOption((4, 8, 16), (256, 384)),  # 0: CAT
    StemOption((16,), ()),  # 1: the control of a single scale
    StemOption((4, 8), (384,)),
    StemOption((4, 16), (384,)),
    StemOption((8, 16), (384,)),
    StemOption((2, 4, 8, 16), (256, 384, 768)),
    StemOption((4, 8, 16, 32), (256, 384, 768)),
)


class ConvolutionBlock(nn.Module):
    """Point-wise, masked 5 x 5 and point-wise convolutions, then an MLP, each beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.inner = nn.Linear(channels, channels)
        self.around = MaskedConvolution(channels)
        self.outer = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, cells: Tensor, grid: tuple[int, int], windows: Tensor | None) -> Tensor:
        """Cells ``(R, K, s, s, c)`` to cells of the same shape."""
        cells = cells + self.outer(self.around(self.inner(self.norm1(cells)), grid, windows))
        return cells + self.mlp(self.norm2(cells))


class MultiResolutionStem(nn.Module):
    """Patch embeddings as the sum of what each scale says of the patch (spec bootstrap B.1, B.2).

    Convolutions whose stride is their size are products within a patch, so only the patches that are
    kept are computed at all: the released code computes every cell for every mask.
    """

    def __init__(self, option: int, *, patch: tuple[int, int], width: int) -> None:
        super().__init__()
        if option not in range(len(OPTIONS)):
            raise UsageError(f"encoder.stem={option}: expected 0 to {len(OPTIONS) - 1}, or null.")
        chosen = OPTIONS[option]
        side = chosen.resolutions[-1]
        if patch != (side, side):
            raise UsageError(
                f"encoder.stem={option} makes patches of {side} x {side}, but scale.patch is "
                f"{list(patch)}. Type scale.patch=[{side},{side}], or choose another stem."
            )
        # multiples of 8, so that products stay aligned at small widths
        channels = [max(8, round(c * width / PUBLISHED_WIDTH / 8) * 8) for c in chosen.channels]
        self.sides = [side // resolution for resolution in chosen.resolutions]  # cells a side
        sizes = [*channels, width]
        pixels = [chosen.resolutions[0] ** 2]
        pixels += [
            (before // after) ** 2 * size
            for before, after, size in zip(self.sides, self.sides[1:], sizes, strict=False)
        ]
        self.embeddings = nn.ModuleList(map(nn.Linear, pixels, sizes))
        self.norms = nn.ModuleList(map(nn.LayerNorm, sizes))
        self.blocks = nn.ModuleList(
            nn.ModuleList(ConvolutionBlock(size) for _ in range(2)) for size in channels
        )
        self.branches = nn.ModuleList(
            nn.Linear(cells**2 * size, width) for cells, size in zip(self.sides, channels, strict=False)
        )
        self.last = nn.Linear(width, width)
        self.start()

    def start(self) -> None:
        """Xavier-uniform embeddings and last product; torch's own start for the convolutions."""
        for part in self.modules():
            if isinstance(part, (nn.Linear, nn.Conv2d)):
                part.reset_parameters()
        for part in (*self.embeddings, self.last):
            assert isinstance(part, nn.Linear)
            nn.init.xavier_uniform_(part.weight)

    def forward(self, patches: Tensor, grid: tuple[int, int], keep: Tensor | None = None) -> Tensor:
        """Embeddings ``(R, K, D)`` of ``keep (R, K)`` among ``patches (B, N, P)``, or of all."""
        side = self.sides[0]
        size = round(patches.shape[2] ** 0.5) // side
        shared = keep is not None and keep.numel() > patches.shape[0] * patches.shape[1]
        if keep is not None and not shared:
            patches = pick(patches, keep)
        pixels = patches.unflatten(2, (side, size, side, size)).transpose(3, 4).flatten(4)
        cells = self.norms[0](self.embeddings[0](pixels))  # (R, K, s, s, c)
        if keep is not None and shared:  # the first scale is embedded once for all masks of a clip
            shape = cells.shape[2:]
            cells = pick(cells.flatten(2), keep).unflatten(2, shape)
        merged: Tensor | None = None
        for stage, branch in enumerate(self.branches):
            windows = None if keep is None else windows_of(keep, grid, self.sides[stage])
            for block in self.blocks[stage].children():
                cells = block(cells, grid, windows)
            seen = branch(cells.flatten(2))  # (R, K, D)
            merged = seen if merged is None else merged + seen
            after = self.sides[stage + 1]
            by = cells.shape[2] // after
            merged_cells = cells.unflatten(3, (after, by)).unflatten(2, (after, by)).transpose(3, 4)
            cells = self.norms[stage + 1](self.embeddings[stage + 1](merged_cells.flatten(4)))
        finest = self.last(cells.flatten(2))
        return finest if merged is None else merged + finest
