"""An experiment: which source, masked how, learnt by which objective, at which scale and seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import generators
from generators.base import Source
from generators.drawer import UsageError, conforms, neighbours
from suite import drawers, registry
from suite.encoder import Encoder
from suite.frontend import FrontEnd
from suite.masking.base import Masking
from suite.objectives.base import DecoderSize, Objective

CONTROLS = ("untrained", "mel_statistics")
PRESETS = ("scale", "frontend", "comparison")
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
class Training:
    """How the optimiser moves (config.yaml says what each key means)."""

    warmup: float
    schedule: Literal["cosine", "constant"]
    weight_decay: float
    decay_all: bool
    betas: tuple[float, float]
    clip_norm: float | None
    precision: Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that can change the weights, and nothing else."""

    control: str | None
    source: dict[str, Any]
    masking: dict[str, Any]
    objective: dict[str, Any]
    scale: Scale
    frontend: FrontEnd
    training: Training
    pool: int | None
    seed: int

    @property
    def label(self) -> str:
        """The row's name in tables: the source with its fields that differ from the default."""
        if self.control:
            return self.control
        defaults = registry.node("source", self.source["name"])
        changed = [f"{key}={value}" for key, value in self.source.items() if value != defaults.get(key)]
        return " ".join([self.source["name"], *changed])

    @property
    def is_control(self) -> bool:
        return self.control is not None or self.source["name"] == "noise"

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
            keep = ("control", "scale", "frontend", "seed", "objective")
            values = {key: values[key] for key in keep}
            for key in ("samples_seen", "learning_rate", "batch"):
                del values["scale"][key]
        if self.control == "mel_statistics":
            values = {"control": self.control}
        return values

    def build_source(self, data: Path, cache: Path) -> Source:
        """The source, with its geometry from the front-end and its seed from the experiment."""
        fields = {key: tupled(value) for key, value in self.source.items() if key != "name"}
        name = self.source["name"]
        known = {field.name for field in dataclasses.fields(generators.catalogue.get(name))}
        for key in ("folder", "manifest"):  # relative to the data folder where they are not found here
            place = fields.get(key)
            if key in known and place and not Path(place).exists() and (data / place).exists():
                fields[key] = str(data / place)
        frames = self.frontend.frames if self.pool is None else max(CLIP_FRAMES, self.frontend.frames)
        given = {"seed": self.seed, "cache": cache, "height": self.frontend.bands, "width": frames}
        fields |= {key: value for key, value in given.items() if key in known}
        return generators.create(name, **fields)

    def build_masking(self) -> Masking:
        return build(drawers.masks, self.masking)

    def build_objective(self) -> Objective:
        """The objective around a fresh encoder; initialised by torch's current seed."""
        objective: Objective = build(drawers.objectives, self.objective).build(
            build_encoder(self.scale), self.scale.decoder
        )
        return objective


def build_encoder(scale: Scale) -> Encoder:
    """A fresh encoder of this scale."""
    return Encoder(patch=scale.patch, width=scale.width, depth=scale.depth, heads=scale.heads)


def build(drawer: Any, values: dict[str, Any]) -> Any:
    """An entry of a drawer from its plain configuration."""
    fields = {key: tupled(value) for key, value in values.items() if key != "name"}
    return drawer.create(values["name"], **fields)


def tupled(value: Any) -> Any:
    """YAML's lists as tuples, so that equal settings compare and hash equal."""
    return tuple(tupled(item) for item in value) if isinstance(value, (list, tuple)) else value


# ---------------------------------------------------------------------------------------------------
# From what the user typed to an experiment


def configure(overrides: list[str]) -> DictConfig:
    """Compose the configuration of ``key=value`` words; raises :class:`UsageError` with the cure."""
    registry.register()
    choices: dict[str, str] = {}
    for word in overrides:
        key, separator, value = word.partition("=")
        if not separator:
            raise UsageError(
                f"{word!r} is not of the form key=value. Type for example source=dead_leaves."
            )
        if key in registry.GROUPS:
            registry.GROUPS[key].get(value)
        if key in PRESETS:
            known = list(drawers.presets(key))
            if value not in known:
                raise UsageError(f"unknown {key} {value!r}.{neighbours(value, known)}")
        if key in registry.GROUPS or key in PRESETS:
            choices[key] = word
    GlobalHydra.instance().clear()
    with initialize_config_module("suite.conf", version_base="1.3"):
        chosen = compose("config", overrides=list(choices.values()))
        for word in overrides:
            if word not in choices.values():
                registry.check_key(chosen, word.partition("=")[0])
        try:
            config = compose("config", overrides=overrides)
            registry.check_running(plain_config(config))
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"cannot understand {shlex.join(overrides)}: {reason}. A list item with a space or = "
                "needs quotes of its own: \"comparison.sources=['noise source.colour=pink']\"."
            ) from error
    return config


def experiment_of(config: DictConfig) -> Experiment:
    """The experiment that a configuration describes; every value is checked for its type."""
    plain = plain_config(config)
    for group in registry.GROUPS:
        for key, value in plain[group].items():
            if value == "???":
                raise UsageError(
                    f"{group} {plain[group]['name']!r} needs {group}.{key}=... Type it after the verb."
                )
    if plain["control"] is not None and plain["control"] not in CONTROLS:
        raise UsageError(
            f"unknown control {plain['control']!r}.{neighbours(plain['control'], list(CONTROLS))}"
        )
    scale = dict(plain["scale"])
    scale["decoder"] = typed(DecoderSize, scale["decoder"], "scale.decoder")
    experiment = Experiment(
        control=plain["control"],
        source=plain["source"],
        masking=plain["masking"],
        objective=plain["objective"],
        scale=typed(Scale, scale, "scale"),
        frontend=typed(FrontEnd, plain["frontend"], "frontend"),
        training=typed(Training, plain["training"], "training"),
        pool=plain["pool"],
        seed=plain["seed"],
    )
    if not conforms(experiment.seed, int):
        raise UsageError(f"seed={experiment.seed!r} is not a whole number.")
    pool = experiment.pool
    if not conforms(pool, int | None) or (pool is not None and pool < 1):
        raise UsageError(f"pool={pool!r}: expected a positive number of samples, or null.")
    check_scale(experiment.scale)
    check_training(experiment.training)
    return experiment


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def check_scale(scale: Scale) -> None:
    """Refuse sizes no encoder or run can have."""
    for key in ("width", "depth", "heads", "batch", "samples_seen"):
        if getattr(scale, key) < 1:
            raise UsageError(f"scale.{key}={getattr(scale, key)} must be at least 1.")
    if scale.samples_seen < scale.batch:
        raise UsageError(
            f"scale.samples_seen={scale.samples_seen} is less than one batch of {scale.batch}. "
            "Lower scale.batch or raise scale.samples_seen."
        )
    if scale.learning_rate <= 0:
        raise UsageError(f"scale.learning_rate={scale.learning_rate} must be positive.")


def check_training(training: Training) -> None:
    """Refuse settings no optimiser has a meaning for."""
    if not 0.0 <= training.warmup < 1.0:
        raise UsageError(f"training.warmup={training.warmup}: expected a share of the steps, 0 to 1.")
    if training.weight_decay < 0:
        raise UsageError(f"training.weight_decay={training.weight_decay} must not be negative.")
    if training.clip_norm is not None and training.clip_norm <= 0:
        raise UsageError(
            f"training.clip_norm={training.clip_norm} must be positive; null clips nothing."
        )


def typed(settings: type[Any], values: dict[str, Any], where: str) -> Any:
    """``settings(**values)``, with a UsageError for a value of the wrong type."""
    hints = typing.get_type_hints(settings)
    values = {key: tupled(value) for key, value in values.items()}
    for key, value in values.items():
        if not conforms(value, hints[key]):
            expected = str(hints[key]).replace("typing.", "")
            raise UsageError(f"{where}.{key}={value!r} is of the wrong type: expected {expected}.")
        if hints[key] in (float, float | None) and value is not None:
            values[key] = float(value)  # 1 and 1.0 are one experiment
    return settings(**values)


def experiment_from(values: dict[str, Any]) -> Experiment:
    """The experiment written in a run's experiment.yaml by :meth:`Experiment.plain` in full."""
    scale = dict(values["scale"])
    scale["decoder"] = DecoderSize(**scale["decoder"])
    return Experiment(
        **{
            **values,
            "scale": typed(Scale, scale, "scale"),
            "frontend": typed(FrontEnd, values["frontend"], "frontend"),
            "training": typed(Training, values["training"], "training"),
        }
    )


def full(experiment: Experiment) -> dict[str, Any]:
    """All fields as plain values, for experiment.yaml."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(experiment)))
    return values
