"""An experiment: which source, masked how, learnt by which objective, at which scale and seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generators
from generators.base import Source
from generators.drawer import UsageError
from suite import drawers, registry
from suite.encoder import Architecture, Encoder
from suite.frontend import FrontEnd
from suite.masking.base import Masking
from suite.objectives.base import DecoderSize, Objective, ObjectiveSettings
from suite.optimiser import Training
from suite.values import tupled, typed

CLIP_FRAMES = 1024  # frames of one stored picture: as many as AudioPG's clips have (10.24 s)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the encoder is and how long it learns; one preset sets all of it."""

    name: str
    width: int
    depth: int
    heads: int
    patch: tuple[int, int]  # bands x frames
    decoder: DecoderSize
    batch: int
    samples_seen: int
    learning_rate: float

    @property
    def steps(self) -> int:
        return max(1, self.samples_seen // self.batch)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that can change the weights, and nothing else."""

    control: str | None
    source: dict[str, Any]
    masking: dict[str, Any]
    objective: dict[str, Any]
    scale: Scale
    encoder: Architecture
    frontend: FrontEnd
    training: Training
    pool: int | None
    seed: int

    @property
    def label(self) -> str:
        """The row's name in tables: the source with its fields that differ from the default."""
        if self.control:
            return self.control
        changed = registry.changed("source", self.source)
        return " ".join([self.source["name"], *(f"{key}={value}" for key, value in changed.items())])

    @property
    def is_control(self) -> bool:
        if self.control is not None or self.source["name"] == "noise":
            return True
        return drawers.facts(self.source["name"])["family"] == "control"

    @property
    def run_id(self) -> str:
        """``source-objective-scale-s<seed>-<hash8>``: equal experiments share a run."""
        content = json.dumps(self.plain(), sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        if self.control == "mel_statistics":
            return f"mel_statistics-{digest}"
        name = self.control or self.source["name"]
        return f"{name}-{self.objective['name']}-{self.scale.name}-s{self.seed}-{digest}"

    def plain(self) -> dict[str, Any]:
        """The experiment as plain values. A control keeps only what it depends on."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if self.control == "untrained":
            keep = ("control", "scale", "encoder", "frontend", "seed", "objective")
            values = {key: values[key] for key in keep}
            for key in ("samples_seen", "learning_rate", "batch"):
                del values["scale"][key]
        if self.control == "mel_statistics":
            values = {"control": self.control}
        return values

    @property
    def pool_key(self) -> str:
        """Equal for experiments of one source, seed and front-end, which share a pool."""
        frontend = dataclasses.asdict(self.frontend)
        return json.dumps([self.source, self.seed, frontend, self.pool], sort_keys=True)

    @property
    def pool_bytes(self) -> int:
        """What the pool takes on disk; 0 where there is none."""
        trained = self.control is None
        return trained * (self.pool or 0) * self.frontend.bands * CLIP_FRAMES * 2

    def build_source(self, data: Path, cache: Path) -> Source:
        """The source, with its geometry from the front-end and its seed from the experiment.

        In a pool, pictures are as long as a clip, and inputs are cut from them; those that are to be
        seen whole are as long as an input.
        """
        source = {key: tupled(value) for key, value in located(self.source, data).items()}
        name = source.pop("name")
        entry = generators.catalogue.get(name)
        known = {field.name for field in dataclasses.fields(entry)}
        whole = self.pool is None or entry.framed
        frames = self.frontend.frames if whole else max(CLIP_FRAMES, self.frontend.frames)
        given: dict[str, Any] = {"seed": self.seed, "cache": cache}
        given |= {"height": self.frontend.bands, "width": frames}
        if self.pool is None:  # an index tells the time only where none comes again
            given["horizon"] = self.scale.steps * self.scale.batch
        made = generators.create(name, **source, **{k: v for k, v in given.items() if k in known})
        refuse_rates(made, self.frontend.sample_rate, "source")
        return made

    def build_masking(self) -> Masking:
        return build(drawers.masks, self.masking)

    def objective_settings(self) -> ObjectiveSettings:
        settings: ObjectiveSettings = build(drawers.objectives, self.objective)
        return settings

    def build_objective(self, vector_size: int = 0) -> Objective:
        """The objective around a fresh encoder; initialised by torch's current seed.

        ``vector_size`` is that of the frozen encoder's vectors, where the objective asks for one's.
        """
        return self.objective_settings().build(self.build_encoder(), self.scale.decoder, vector_size)

    def build_encoder(self) -> Encoder:
        """A fresh encoder of this scale and architecture."""
        scale = self.scale
        size = {"width": scale.width, "depth": scale.depth, "heads": scale.heads}
        return Encoder(patch=scale.patch, **size, architecture=self.encoder)


def refuse_rates(source: Source, rate: int, where: str) -> None:
    """Raise :class:`UsageError` where sounds have another sample rate than the front-end's."""
    for key, part in source.made_of().items():
        refuse_rates(part, rate, f"{where}.{key}")
    own = getattr(source, "sample_rate", rate)
    if own != rate:
        raise UsageError(
            f"{where}.sample_rate={own}: the front-end hears every sound at {rate} Hz, so this one "
            f"would be at another pitch and speed. Leave it out, or type {where}.sample_rate={rate}."
        )


def build(drawer: Any, values: dict[str, Any]) -> Any:
    """An entry of a drawer from its plain configuration."""
    fields = {key: tupled(value) for key, value in values.items() if key != "name"}
    return drawer.create(values["name"], **fields)


def located(source: dict[str, Any], data: Path) -> dict[str, Any]:
    """A source's fields, its folders and manifests below ``data`` where they are not found here."""

    def place(key: str, value: Any) -> Any:
        if isinstance(value, dict):  # the sources it is made of
            return located(value, data)
        elsewhere = key in ("folder", "manifest") and value and not Path(value).exists()
        return str(data / value) if elsewhere and (data / value).exists() else value

    return {key: place(key, value) for key, value in source.items()}


def experiment_from(values: dict[str, Any]) -> Experiment:
    """The experiment written in a run's experiment.yaml by :meth:`Experiment.plain` in full."""
    scale = dict(values["scale"])
    scale["decoder"] = DecoderSize(**scale["decoder"])
    return Experiment(
        **{
            **values,
            "scale": typed(Scale, scale, "scale"),
            "encoder": typed(Architecture, values["encoder"], "encoder"),
            "frontend": typed(FrontEnd, values["frontend"], "frontend"),
            "training": typed(Training, values["training"], "training"),
        }
    )


def full(experiment: Experiment) -> dict[str, Any]:
    """All fields as plain values, for experiment.yaml."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(experiment)))
    return values
