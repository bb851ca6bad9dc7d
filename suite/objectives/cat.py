"""CAT: EAT behind a multi-resolution stem, its class token drawn towards a frozen encoder's view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from generators.drawer import UsageError
from suite.blocks import initialise
from suite.encoder import Encoder
from suite.objectives.base import Batch, DecoderSize, Frozen
from suite.objectives.eat import EAT, EATSettings


@dataclass(kw_only=True)
class CATSettings(EATSettings, name="cat"):
    """EAT behind a multi-resolution stem, drawn towards the vectors of any frozen encoder (CAT)."""

    architecture: ClassVar[Mapping[str, Any]] = {"norm": "post", "stem": 0}

    # Whose vectors: hand-made descriptors of the log-mel, a finished run of this suite, or a module
    # with HEAR's load_model and get_scene_embeddings; none leaves the stem alone.
    regulariser: Literal["none", "descriptors", "run", "hear"] = "descriptors"
    regulariser_from: str = ""  # the run's folder, or the module's name
    regulariser_weight: float = 1.0  # of a mean over rows, as utterance_weight
    standardise: bool = True  # the vectors, over the pool; the papers' code takes them as they are
    shuffled: bool = False  # each clip is drawn to another clip's vector: the negative control
    saw_labels: bool = False  # say so where the frozen encoder learnt from labels: kept in rows' config

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regulariser in ("run", "hear") and not self.regulariser_from:
            example = "runs/RUN" if self.regulariser == "run" else "MODULE"
            raise UsageError(
                f"objective.regulariser={self.regulariser} needs objective.regulariser_from={example}."
            )

    def frozen(self) -> Frozen | None:
        if self.regulariser == "none":
            return None
        return Frozen(
            kind=self.regulariser,
            where=self.regulariser_from,
            shuffled=self.shuffled,
            standardise=self.standardise,
        )

    def build(self, encoder: Encoder, decoder: DecoderSize, vector_size: int = 0) -> CAT:
        return CAT(encoder, self, vector_size)


class CAT(EAT):
    """Representation regularisation beside EAT's losses (spec bootstrap B.3).

    The class token of every masked view is projected to the frozen encoder's vector of its clip; the
    student is projected, never the target, which could then collapse.
    """

    def __init__(self, encoder: Encoder, settings: CATSettings, vector_size: int) -> None:
        super().__init__(encoder, settings)
        self.weight = settings.regulariser_weight
        self.projection = nn.Linear(encoder.width, vector_size) if vector_size else None
        if self.projection is not None:
            initialise(self.projection)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        losses, clip = self.bootstrap(batch)
        if self.projection is None:
            return losses
        assert batch.vectors is not None  # pretrain gives what frozen() asks for
        wanted = batch.vectors.repeat_interleave(len(clip) // len(batch.vectors), dim=0)
        apart = self.distance(self.projection(clip), wanted.float())
        losses["loss"] = losses["loss"] + self.scaled(self.weight, len(batch.vectors)) * apart
        return {**losses, "regulariser_loss": apart.detach()}
