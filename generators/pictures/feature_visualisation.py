"""Feature visualisations: pictures that excite a random network, or one trained on dead leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from ..base import Source
from ..drawer import DataMissing, UsageError
from .gradient_ascent import FeatureVisualisation
from .visualised_networks import (
    RESNET_50,
    SMALL,
    TWO_COMMANDS,
    Features,
    FinishedRun,
    encoder_features,
    random_features,
)


@dataclass(kw_only=True)
class FeatureVisRandom(FeatureVisualisation, Source, name="feature_vis_random"):
    """Feature visualisations of a random network: high-contrast foam.

    ``form="full"`` is the published one: a ResNet-50 of 2048 features as it is initialised, in
    colour at ``side`` x ``side``. It is for a GPU; on one core a picture takes most of a minute.
    ``form="small"`` is ours, for a CPU: four basic blocks of 16 to 128 channels, 128 features, grey,
    straight on the canvas; ``side``, ``grey`` and ``fit`` are idle. The weights are drawn from the
    seed, and all pictures share them.
    """

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "nothing"
    in_brief = "form=small"

    form: Literal["full", "small"] = "full"
    side: int = 256  # of the full form's pictures

    def __post_init__(self) -> None:
        if self.side < 32:
            raise UsageError(f"source.side={self.side}: expected at least 32. Type source.side=256.")
        self.check_fields(least=8)

    @property
    def features(self) -> int:
        """D: 2048, or 128 in the small form."""
        return (RESNET_50 if self.form == "full" else SMALL).features

    @property
    def colours(self) -> int:
        """Channels of the pictures that the network sees."""
        return 3 if self.form == "full" else 1

    @property
    def native(self) -> tuple[int, int]:
        """Height and width of a pattern."""
        if self.form == "full":
            return self.side, self.side
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def network(self, device: torch.device) -> Features:
        """The residual network on ``device``."""
        return random_features(self.seed, RESNET_50 if self.form == "full" else SMALL, str(device))


@dataclass(kw_only=True)
class FeatureVisDeadLeaves(FeatureVisualisation, Source, name="feature_vis_dead_leaves"):
    """Feature visualisations of a network trained on dead leaves: cellular, stone-like patterns.

    ``run`` is a finished run of this suite, its encoder trained on dead leaves; its D features are the
    channels of its last tokens, averaged over the patches, and the picture is made straight on the
    canvas, in grey, standardised by itself for the network (the reference maximises a contrastive
    ResNet-50's). ``grey`` and ``fit`` are idle. Two commands, of a quarter of an hour on two cores:

        sourcebench pretrain source=dead_leaves_mixed scale=nano
        sourcebench preview source=feature_vis_dead_leaves source.run=runs/dead_leaves_mixed-...
    """

    kind = "picture"
    family = "random network"
    citation = "Baradad et al. 2021, NeurIPS; arXiv 2106.05963"
    speed = "slow"
    needs = "a run pre-trained on dead leaves"

    run: Path | None = None

    def __post_init__(self) -> None:
        bands, frames = self.finished.patch
        height, width = self.native
        if height % bands or width % frames:
            raise UsageError(
                f"a picture of {height} x {width} does not divide into the run's patches of {bands} x "
                f"{frames}. Choose multiples for source.height and source.width."
            )
        trained_on = self.finished.experiment["source"]["name"]
        if not str(trained_on).startswith("dead_leaves"):
            raise UsageError(
                f"source.run={self.run} was trained on {trained_on}, not on dead leaves. {TWO_COMMANDS}"
            )
        self.check_fields(least=8)

    @cached_property
    def finished(self) -> FinishedRun:
        """The run; raises DataMissing where none is given."""
        if self.run is None:
            raise DataMissing(
                "feature_vis_dead_leaves shows a network trained on dead leaves, and none is given. "
                f"{TWO_COMMANDS}"
            )
        return FinishedRun(Path(self.run))

    @property
    def features(self) -> int:
        """D: the encoder's width."""
        return int(self.finished.experiment["scale"]["width"])

    @property
    def native(self) -> tuple[int, int]:
        """Height and width of a pattern: the canvas's."""
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def network(self, device: torch.device) -> Features:
        """The run's encoder on ``device``."""
        return encoder_features(self.finished, str(device))

    def identity(self) -> dict[str, Any]:
        """Like every source's, with a hash of the weights in place of the path."""
        return {**super().identity(), "run": self.finished.fingerprint}
